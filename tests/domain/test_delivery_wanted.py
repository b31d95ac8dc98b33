"""What is wanted of a delivery is refused where nobody could do it, with the place and the reason."""

import pytest

from runwright.domain.delivery_terms import PLACES_MAX
from runwright.domain.delivery_wanted import CommitOrder, PullRequestOrder, Wanted, require_wanted
from runwright.errors import InvalidRequest


@pytest.mark.parametrize(
    ("wanted", "where", "why"),
    [
        (Wanted(branch="omar/{nobody}"), "branch.template", "not for 'nobody'"),
        (Wanted(branch="omar/{run_id"), "branch.template", "is no template"),
        (Wanted(branch="a..{run_id}"), "branch.template", "is no name of a branch"),
        (Wanted(commit=CommitOrder(message=" \n")), "commit.message", "says nothing"),
        (Wanted(commit=CommitOrder(message="{report}")), "commit.message", "not for 'report'"),
        (Wanted(pull_request=PullRequestOrder(title="{objective!r}")), "pr.title", "not for 'objective'"),
        (Wanted(pull_request=PullRequestOrder(base="refs/heads/x")), "pr.base", "without refs/heads/"),
        (
            Wanted(pull_request=PullRequestOrder(body_template="{objective}" * (PLACES_MAX + 1))),
            "pr.body_template",
            f"has {PLACES_MAX + 1} places, and may have {PLACES_MAX}",
        ),
        (Wanted(actions=("push",)), "actions", "commit, then push"),
    ],
)
def test_what_nobody_could_do_is_refused(wanted: Wanted, where: str, why: str):
    with pytest.raises(InvalidRequest, match=why) as refused:
        require_wanted(wanted, "deliver.")
    assert [each.path for each in refused.value.fields] == [f"deliver.{where}"]


def test_as_many_places_as_there_may_be_are_filled():
    body = "{objective} of {run_id}: {report}\n" * (PLACES_MAX // 3)
    assert require_wanted(Wanted(pull_request=PullRequestOrder(body_template=body))).pull_request.body_template == body
