"""A ticket's timeline: a pure function of its facts and the policy (RULES 3 to 5).

The story is walked forward in time. At each instant the facts come first, in their order; what falls due at that
instant is judged after them. So what stands at an instant depends only on facts that occurred at or before it.
"""

from typing import Final, Self

from sla_timer.domain.fact_log import Rulebook, Story
from sla_timer.domain.ticket_state import FOREVER, Standing
from sla_timer.domain.timeline_events import Happening, Kind

BY_ITSELF: Final = frozenset({Kind.WARNED, Kind.BREACHED, Kind.STEP_DUE, Kind.EXHAUSTED})


class Timeline(Standing):
    """A ticket that moves along its story: what stands at `now`, and what has happened up to it; `tell` goes on.

    ignored: the numbers of facts that were impossible at their instant.
    """

    def __init__(self, story: Story, rulebook: Rulebook) -> None:
        self.story = story
        self.rulebook = rulebook
        self.ignored: list[int] = []
        self.version = rulebook.index_at(story.steps[0].at)
        self._told = 1
        super().__init__(story.steps[0], story.channel, rulebook.rules[self.version])

    def tell(self, until: int) -> Self:
        """Goes on to `until`, inclusive: what falls on it has happened. Never back."""
        steps = self.story.steps
        by_itself_at = self.next_by_itself()[0]
        while True:
            fact_at = steps[self._told].at if self._told < len(steps) else FOREVER
            rules_at = self._rules_change_at()
            at = min(by_itself_at, fact_at, rules_at)
            if at > until:
                self.now = max(self.now, until)
                return self
            self.now = at
            if rules_at == at:
                self.version += 1
                self.change_rules(self.rulebook.rules[self.version])
            while self._told < len(steps) and steps[self._told].at == at:
                step = steps[self._told]
                self._told += 1
                if not self.apply(step):
                    self.ignored.append(step.number)
            by_itself_at = self.judge()

    def upcoming(self) -> Happening | None:
        """What happens next by itself, after `now`, if nothing else does; tells the story on to it."""
        seen = len(self.happenings)
        while True:
            at = min(self.next_by_itself()[0], self._rules_change_at())
            if at == FOREVER:
                return None
            self.tell(at)
            told = next((happening for happening in self.happenings[seen:] if happening.kind in BY_ITSELF), None)
            if told is not None:
                return told

    def _rules_change_at(self) -> int:
        changes = self.rulebook.changes
        return changes[self.version] if self.version < len(changes) else FOREVER
