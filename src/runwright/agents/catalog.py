"""The catalog of a project: its models with prices, what is left of its budgets, and what its own runs came to."""

from __future__ import annotations

import msgspec

from runwright.agents.budgets import Budgets
from runwright.agents.credentials import Credentials
from runwright.agents.models import KnownModel, Models
from runwright.agents.pricing import book
from runwright.agents.providers import installed
from runwright.agents.providers.port import LocalBounds
from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.accounts import Project
from runwright.domain.catalog import (
    ANY,
    CAPABILITIES,
    Candidate,
    Needs,
    Ranked,
    Reason,
    Role,
    choose,
    excluded,
    ranking,
)
from runwright.domain.instants import DAY_US
from runwright.domain.kpi import Window, hour_after
from runwright.domain.kpi_sums import Sums
from runwright.domain.model_call import ProviderKind
from runwright.domain.price import Price
from runwright.domain.route import Provider
from runwright.domain.shared_budget import SharedBudget
from runwright.domain.spending import WARN_PERCENT
from runwright.domain.tenancy import Actor
from runwright.engine.kpi import Kpi, Order
from runwright.store.queries.shapes import Slice

HISTORY_DAYS = 90
PAGE = 500


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the catalog: what is known of it, and of its own past."""

    known: KnownModel
    candidate: Candidate
    missing: Reason | None
    problem: str | None


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """What a project may ask. `budgets` are those that all of its runs share."""

    project: Project
    entries: list[Entry]
    providers: list[Provider]
    budgets: list[SharedBudget]
    policy: tuple[str, ...]
    book: str | None
    history_until: int

    def ranking(self, role: Role, needs: Needs = ANY) -> list[Ranked]:
        """Return the models that may be asked, best first for a role."""
        return ranking((entry.candidate for entry in self.entries), role, needs)

    def excluded(self, needs: Needs = ANY) -> dict[str, Reason]:
        """Return the models that may not be asked, each with why."""
        found = ((entry.candidate.id, excluded(entry.candidate, needs)) for entry in self.entries)
        return {ident: reason for ident, reason in found if reason is not None}

    def choose(self, role: Role, needs: Needs = ANY) -> str | None:
        """Return the route that the word `auto` stands for; None where no model may be asked."""
        return choose((entry.candidate for entry in self.entries), role, needs)


class Catalogs:
    """Makes catalogs; no model is asked or loaded."""

    def __init__(
        self,
        models: Models,
        credentials: Credentials,
        budgets: Budgets,
        kpi: Kpi,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._models = models
        self._credentials = credentials
        self._budgets = budgets
        self._kpi = kpi
        self._policy = settings.model_policy
        self._local = LocalBounds.of(settings)
        self._clock = clock

    async def of(self, actor: Actor, project: Project) -> Catalog:
        """Return the catalog of a project as it stands, its history to the end of the hour that runs."""
        now = self._clock.now()
        until = hour_after(now)
        past = await self._past(project, until)
        parts = await self._budgets.page(actor, project, Slice(PAGE), now)
        shared = [budget for budget in parts if budget.scope in ("project", "day")]
        entries = [self._entry(known, past, shared) for known in await self._known(actor, project)]
        providers = await self._credentials.page(actor, project, Slice(PAGE, None, False))
        return Catalog(
            project=project,
            entries=sorted(entries, key=lambda entry: entry.candidate.id),
            providers=providers,
            budgets=shared,
            policy=self._policy,
            book=await book(),
            history_until=until,
        )

    def installed(self, provider: Provider) -> bool:
        """Tell whether this server has what it takes to ask a provider."""
        kind: ProviderKind = msgspec.convert(provider.kind, ProviderKind)
        return installed.missing(kind, self._local) is None

    async def _past(self, project: Project, until: int) -> dict[str, Sums]:
        order = Order(
            org_id=project.org_id,
            project_id=project.project_id,
            as_of=until,
            compare_days=HISTORY_DAYS,
            baseline_days=HISTORY_DAYS,
        )
        return dict(await self._kpi.sums(order, "model", Window(until - HISTORY_DAYS * DAY_US, until)))

    async def _known(self, actor: Actor, project: Project) -> list[KnownModel]:
        found: list[KnownModel] = []
        bound = None
        while True:
            rows = await self._models.page(actor, project, Slice(PAGE, bound, False))
            found += rows
            if len(rows) < PAGE:
                return found
            bound = rows[-1].route.route_id

    def _entry(self, known: KnownModel, past: dict[str, Sums], budgets: list[SharedBudget]) -> Entry:
        definition = known.route.definition
        missing, problem = known.missing, known.problem
        if missing is None:
            missing, problem = _held_up(known.price, budgets)
        candidate = Candidate(
            id=known.route.name,
            price=known.price,
            context_window=known.context_window,
            capabilities=CAPABILITIES[definition.kind],
            missing=missing,
            past=past.get(f"{definition.kind}/{definition.model}", Sums()),
        )
        return Entry(known=known, candidate=candidate, missing=missing, problem=problem)


def is_free(price: Price | None) -> bool:
    """Tell whether calls cost nothing, which is known: no budget holds them up."""
    return price is not None and not any((price.rates.input, price.rates.cached, price.rates.output, price.steps))


def fullest(budgets: list[SharedBudget]) -> SharedBudget | None:
    """Return the budget of which the largest share is used; None without any."""
    return max(budgets, key=lambda budget: (used_pct(budget), budget.budget_key), default=None)


def used_pct(budget: SharedBudget) -> float:
    """Return how much of a budget is spent or held for calls under way, in percent."""
    return round((budget.settled_microusd + budget.reserved_microusd) / budget.limit_microusd * 100, 2)


def is_near(budget: SharedBudget) -> bool:
    """Tell whether so much of a budget is used that runs warn of it."""
    return used_pct(budget) >= WARN_PERCENT


def _held_up(price: Price | None, budgets: list[SharedBudget]) -> tuple[Reason | None, str | None]:
    if not budgets or is_free(price):
        return None, None
    if price is None:
        return "UNPRICED", "The project has a budget, which cannot be kept with a price that nobody knows."
    full = next((budget for budget in budgets if budget.left_microusd <= 0), None)
    if full is not None:
        return "QUOTA_EXHAUSTED", f"The budget of the {full.scope} is used up."
    return None, None
