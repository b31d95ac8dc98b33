"""The model catalog: which models a project may ask, at which price, with which past, and in which order for a role."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from runwright.agents.catalog import Catalog, Entry, fullest, is_free, is_near, used_pct
from runwright.api import files, instants
from runwright.api.context import Call
from runwright.api.routing import Reply, Routes
from runwright.api.runtime import catalog_schemas as wire
from runwright.domain.catalog import ROLES, Needs, Ranked, Reason, Role
from runwright.domain.kpi import wilson
from runwright.domain.kpi_sums import Sums
from runwright.domain.money import MICRO, usd
from runwright.domain.route import KEYED
from runwright.domain.shared_budget import SharedBudget

routes = Routes(tag="models")

NOWHERE = {304: "The caller has this answer", 404: "The project is not the caller's"}
TAGGED = {"ETag": "The digest of the answer, in quotes."}


@routes.get(
    "/api/v1/models/catalog",
    scope="models:read",
    headers={"If-None-Match": "ETags of answers that the caller has."},
    answer_headers=TAGGED,
    answers=NOWHERE,
    summary="List a project's models, ranked",
)
async def get_model_catalog(call: Call, query: wire.CatalogQuery) -> Reply[wire.CatalogAnswer] | Reply[None]:
    """Return every model that a route of the project leads to, and the order in which each role would ask them."""
    office = call.services
    project = await office.tenants.resolve_project(call.actor, query.project_id)
    catalog = await office.agents.catalogs.of(call.actor, project)
    installed = {each.name: office.agents.catalogs.installed(each) for each in catalog.providers}
    answer = _answer(catalog, query, installed)
    tag = sha256(msgspec.json.encode(answer)).hexdigest()
    headers = {"etag": f'"{tag}"'}
    if files.is_held(call.header("if-none-match"), tag):
        return Reply(None, status=304, headers=headers)
    return Reply(answer, headers=headers)


def _answer(catalog: Catalog, query: wire.CatalogQuery, installed: dict[str, bool]) -> wire.CatalogAnswer:
    cost = None if query.max_cost is None else round(query.max_cost * MICRO)
    capabilities = tuple(query.capability)
    needs = Needs(min_context=query.min_context, max_cost_microusd=cost, capabilities=capabilities)
    roles = ROLES if query.role is None else (query.role,)
    ranked = {role: catalog.ranking(role, needs) for role in roles}
    excluded = catalog.excluded(needs)
    ranks = _ranks(ranked, explained=query.explain == "1")
    return wire.CatalogAnswer(
        price_book_version=catalog.book,
        history_until=instants.text(catalog.history_until),
        account=wire.CatalogAccount(
            org_id=catalog.project.org_id,
            project_id=catalog.project.project_id,
            providers_configured=[
                wire.CatalogProvider(name=each.name, kind=each.kind, installed=installed[each.name])
                for each in catalog.providers
            ],
            model_policy=list(catalog.policy),
        ),
        roles={role: [each.id for each in places] for role, places in ranked.items()},
        models=[
            _model(entry, catalog.budgets, excluded.get(entry.candidate.id), ranks.get(entry.candidate.id, {}))
            for entry in catalog.entries
        ],
    )


def _ranks(ranked: Mapping[Role, list[Ranked]], *, explained: bool) -> dict[str, dict[str, wire.CatalogRank]]:
    """Return the places of each model, by its id and by the roles that it has one for."""
    ranks: dict[str, dict[str, wire.CatalogRank]] = {}
    for role, places in ranked.items():
        for each in places:
            terms = each.terms.items() if explained else ()
            ranks.setdefault(each.id, {})[role] = wire.CatalogRank(
                position=each.position,
                score=each.score,
                signals={name: wire.CatalogSignal(**msgspec.structs.asdict(term)) for name, term in terms},
            )
    return ranks


def _model(
    entry: Entry, budgets: list[SharedBudget], excluded: Reason | None, rank: dict[str, wire.CatalogRank]
) -> wire.CatalogModel:
    known, definition = entry.known, entry.known.route.definition
    via: wire.Via = "byok" if definition.kind in KEYED else "local" if definition.kind == "local" else "scripted"
    return wire.CatalogModel(
        id=entry.candidate.id,
        route_id=known.route.route_id,
        provider=definition.kind,
        provider_name=definition.provider,
        model=definition.model,
        context_window=known.context_window,
        max_output=definition.max_output_tokens,
        capabilities=list(entry.candidate.capabilities),
        pricing=_pricing(entry),
        access=wire.CatalogAccess(
            available=entry.missing is None, reason_code=entry.missing, reason=entry.problem, via=via
        ),
        quota=_quota(entry, budgets),
        history=_history(entry.candidate.past),
        excluded=excluded,
        rank=rank,
    )


def _pricing(entry: Entry) -> wire.CatalogPricing:
    price = entry.known.price
    rates = None if price is None else price.rates
    return wire.CatalogPricing(
        input=None if rates is None else usd(rates.input),
        output=None if rates is None else usd(rates.output),
        cache_read=None if rates is None else usd(rates.cached),
        currency="USD",
        per=MICRO,
        unpriced=price is None,
        source=None if price is None else price.source,
    )


def _quota(entry: Entry, budgets: list[SharedBudget]) -> wire.CatalogQuota:
    budget = fullest(budgets)
    if is_free(entry.known.price):
        return wire.CatalogQuota(state="free", used_pct=None, resets_at=None)
    if budget is None:
        return wire.CatalogQuota(state="unlimited", used_pct=None, resets_at=None)
    state: wire.QuotaState = "exhausted" if budget.left_microusd <= 0 else "warning" if is_near(budget) else "normal"
    resets_at = None if budget.resets_at is None else instants.text(budget.resets_at)
    return wire.CatalogQuota(state=state, used_pct=used_pct(budget), resets_at=resets_at)


def _history(past: Sums) -> wire.CatalogHistory:
    answers, success = past.rate("model_answer_rate"), past.rate("success_rate")
    latency, cost = past.spread("model_latency"), past.spread("cost_per_run")
    p50, p90 = latency.quantile(0.5), latency.quantile(0.9)
    return wire.CatalogHistory(
        calls=answers.of,
        answer_rate=answers.hits / answers.of if answers.of else None,
        answer_rate_ci95=wilson(answers.hits, answers.of),
        latency_p50_ms=None if p50 is None else p50 / 1000,
        latency_p90_ms=None if p90 is None else p90 / 1000,
        runs=past.ended,
        success_rate=success.hits / success.of if success.of else None,
        cost_per_run_usd=cost.total / cost.n / MICRO if cost.n else None,
    )
