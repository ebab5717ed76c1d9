"""Workers in groups: fed, watched and replaced.

    submit -> waiting -> at a worker, two at a time so that none is idle -> Outcome

`wait` hands out what is finished, in finishing order. A worker that dies or takes longer than its group's timeout
is replaced, and its batch goes the way of `Task.after_death`; the batch behind it just moves on. Now and then that is
unjust, as an answer is lost when the next batch ends the process at once: so whatever a worker has died with gets the
next one for itself. Workers are started when there is more to do than the others can take, up to what was planned.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from tts_eval.errors import ConfigError, TTSEvalError
from tts_eval.workers.cluster import GIGABYTE, Cluster
from tts_eval.workers.identity import difference, identity
from tts_eval.workers.resources import Share
from tts_eval.workers.task import Task, cause_of_death
from tts_eval.workers.teams import Teams
from tts_eval.workers.timeline import LOADING, LOST, Span, Timeline
from tts_eval.workers.worker import Reply, Worker

logger = logging.getLogger(__name__)

AT_A_WORKER = 2
"""Tasks: the one it works on, and the one that it finds there when that is done."""
START_DEATHS = 3
"""Workers of a group that may die one after the other before one of them is ready."""
START_SECONDS = 1800.0
"""How long a group may be without a worker that is ready: models are loaded, perhaps fetched."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A task that is over, or one item that was given up."""

    task: Task
    results: Sequence[Any] | None
    """One per item; None where every worker that tried the one item died."""
    reason: str = ""
    """Why there are none."""
    seconds: float = 0.0
    """That a worker spent on it."""
    team: int | None = None
    """Of the worker, where it is in one."""


@dataclass(slots=True, eq=False)
class _Member:
    """A worker, and what was sent to it, in order."""

    handle: Any
    name: str
    team: int | None = None
    setting_up: list[tuple[Any, Any]] = field(default_factory=list)
    """Calls and the answers to them that it owes before it gets any task."""
    tasks: deque[tuple[Task, Any]] = field(default_factory=deque)
    since: float = field(default_factory=time.monotonic)
    """When it began with the first of them."""
    preparing: float = field(default_factory=time.time)
    """When it began to get ready."""

    @property
    def next_answer(self) -> Any:
        owed = self.setting_up[0] if self.setting_up else self.tasks[0] if self.tasks else (None, None)
        return owed[1]


class Group:
    """The workers that do one kind of work."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        target: str,
        share: Share,
        timeline: Timeline | None = None,
        teams: Teams | None = None,
    ) -> None:
        self.name, self.share = name, share
        self._timeline = timeline or Timeline()
        self._teams = teams or Teams({name: share})
        self._ray = cluster._ray
        self._target = target
        self._identity = identity()  # of now: sources may be edited while a run goes on
        self._setup: list[tuple[str, Sequence[Any], tuple[Any, ...]]] = []
        self._first_answer: Any = None
        self._members: list[_Member] = []
        self._started = 0
        self._deaths_at_start = 0
        self._last_ready = time.monotonic()
        self.waiting: deque[Task] = deque()
        self.outcomes: deque[Outcome] = deque()

    @property
    def in_flight(self) -> int:
        """Tasks that are waiting or at a worker."""
        return len(self.waiting) + sum(len(member.tasks) for member in self._members)

    def has_room(self, team: int | None = None) -> bool:
        """Whether the workers could do with more, or the one of a team could."""
        if team is None:
            return self.in_flight < AT_A_WORKER * self.share.actors
        given = [task for member in self._members for task, _ in member.tasks]
        return sum(task.team == team for task in (*self.waiting, *given)) < AT_A_WORKER

    def submit(self, task: Task) -> None:
        """Have a task done, after those that are as urgent."""
        place = (
            sum(1 for _ in takewhile(lambda other: other.urgent, self.waiting)) if task.urgent else len(self.waiting)
        )
        self.waiting.insert(place, task)

    def prepare(self, method: str, items: Sequence[Any], *context: Any) -> Any:
        """Call a method of every worker, of those to come as well; returns what the first of them answered.

        Raises:
            TTSEvalError: it refused, or workers die of it.
        """
        call = (method, items, context)
        self._setup.append(call)
        self._first_answer = None
        self._deaths_at_start, self._last_ready = 0, time.monotonic()
        for member in self._members:
            if not member.setting_up:
                member.preparing = time.time()
            member.setting_up.append((call, member.handle.call.remote(*call)))
        try:
            while self._first_answer is None:
                self._get_ready()
        except BaseException:
            self._setup.remove(call)  # a worker to come shall not be refused for it again
            raise
        return self._first_answer.results

    def _get_ready(self) -> None:
        """Wait a moment for a worker that gets ready; there is one at least."""
        if not self._members:
            self._start()
        self.collect(self._ray.wait(self.answers, timeout=1.0)[0])
        self.tend()

    def ask(self, method: str, items: Sequence[Any], *context: Any) -> Any:
        """What a worker that is ready says; if none is, as all have been ended, one is brought there.

        Raises:
            TTSEvalError: it refused, or died of it.
        """
        self._deaths_at_start, self._last_ready = 0, time.monotonic()
        while (member := next((member for member in self._members if not member.setting_up), None)) is None:
            self._get_ready()
        try:
            reply = self._ray.get(member.handle.call.remote(method, items, context), timeout=self.share.timeout)
        except self._ray.exceptions.RayError as error:
            raise TTSEvalError(f"worker {member.name} was lost: {cause_of_death(error)}") from error
        if reply.refusal is not None:
            raise reply.refusal.error(f"worker {member.name}")
        return reply.results

    @property
    def answers(self) -> list[Any]:
        """What the workers owe next."""
        return [member.next_answer for member in self._members if member.next_answer is not None]

    def tend(self) -> None:
        """Hand out what waits, end what hangs, start workers where there is more to do than they can take."""
        now = time.monotonic()
        for member in list(self._members):
            if member.tasks and not member.setting_up and now - member.since > self.share.timeout:
                self._bury(member, f"it did not answer within {self.share.timeout:g} s")
        ready = [member for member in self._members if not member.setting_up]
        for depth in range(1, AT_A_WORKER + 1):  # first one for each; then one more, but for what others are there for
            kept = self._getting_ready if depth > 1 else 0
            for member in ready:
                if len(member.tasks) < depth and (task := self._take_waiting(member, kept)) is not None:
                    self._hand(member, task)
            while len(self._members) < self.share.actors and (
                len(self.waiting) > self._getting_ready or self._vacant_teams(asked_for=True)
            ):
                self._start()
        if ready or not self._members:
            self._last_ready = now
        elif now - self._last_ready > START_SECONDS:
            raise TTSEvalError(
                f"No worker of '{self.name}' has become ready within {START_SECONDS:.0f} s. See whether the cluster "
                "has room ('ray status'); what was made is stored, the same command goes on."
            )

    @property
    def _getting_ready(self) -> int:
        return sum(bool(member.setting_up) for member in self._members)

    def _take_waiting(self, member: _Member, kept: int) -> Task | None:
        """The first task that a worker may have; None when no more than `kept` wait, which are for others."""
        if len(self.waiting) <= kept or any(task.tries for task, _ in member.tasks):
            return None
        task: Task | None = self.waiting[0]
        if self.share.together:
            manned = {other.team for other in self._members if not other.setting_up}
            open_to_all = {None, member.team} | (self._teams.broken - manned)
            task = next((task for task in self.waiting if task.team in open_to_all), None)
        if task is None or (task.tries and member.tasks):
            return None
        self.waiting.remove(task)
        return task

    def _vacant_teams(self, *, asked_for: bool) -> list[int]:
        """Teams that have nobody of this group: all of them, or those that something waits for."""
        if not self.share.together:
            return []
        wanted = (task.team for task in self.waiting) if asked_for else range(self.share.actors)
        manned = {member.team for member in self._members}
        return [team for team in wanted if team is not None and team not in manned]

    def _start(self) -> None:
        share = self.share
        self._started += 1
        vacant = [*self._vacant_teams(asked_for=True), *self._vacant_teams(asked_for=False)]
        team = vacant[0] if vacant else None
        options = {
            "num_cpus": share.cpus,
            "num_gpus": share.gpus,
            "memory": int(share.memory * GIGABYTE) or None,
            "max_restarts": 0,
            "max_task_retries": 0,
            **({} if team is None else self._teams.options(self.name, team)),
        }
        actor = self._ray.remote(Worker).options(**options).remote(self._target, share.threads, share.gpus)
        member = _Member(actor, f"{self.name}-{self._started}", team)
        member.setting_up = [(None, actor.identity.remote())]
        member.setting_up += [(call, actor.call.remote(*call)) for call in self._setup]
        self._members.append(member)

    def _hand(self, member: _Member, task: Task) -> None:
        if not member.tasks:
            member.since = time.monotonic()
        member.tasks.append((task, member.handle.call.remote(task.method, task.items, task.context)))

    def collect(self, answers: Sequence[Any]) -> None:
        """Take in those of `answers` that are this group's.

        Raises:
            TTSEvalError: a worker refused.
        """
        for member in list(self._members):
            if member.next_answer in answers:
                self._take(member)

    def _take(self, member: _Member) -> None:
        try:
            reply = self._ray.get(member.next_answer)
        except self._ray.exceptions.RayTaskError:
            raise  # a mistake of ours: what models raise is a failure of its item
        except self._ray.exceptions.RayError as error:
            self._bury(member, cause_of_death(error))
            return
        if isinstance(reply, Reply):
            for note in reply.notes:
                logger.log(note.level, "[%s] %s", member.name, note.message)
        if member.setting_up:
            self._take_setup(member, reply)
            return
        task, _ = member.tasks.popleft()
        if reply.refusal is not None:
            raise reply.refusal.error(f"worker {member.name}")
        member.since = time.monotonic()
        self._deaths_at_start = 0
        self.outcomes.append(Outcome(task, reply.results, seconds=reply.seconds, team=member.team))
        self._note(member, task.method, reply.started, reply.seconds, len(task.items))

    def _note(self, member: _Member, work: str, started: float, seconds: float, items: int = 0) -> None:
        self._timeline.add(Span(self.name, member.name, work, started, seconds, items))

    def _take_setup(self, member: _Member, reply: Any) -> None:
        call, _ = member.setting_up.pop(0)
        if call is None:
            if problem := difference(self._identity, reply):
                raise ConfigError([f"Worker {member.name} cannot take part. {problem}"])
        elif reply.refusal is not None and any(call is wanted for wanted in self._setup):
            raise reply.refusal.error(f"worker {member.name}")
        if not member.setting_up:
            self._deaths_at_start = 0
            member.since = time.monotonic()
            self._note(member, LOADING, member.preparing, time.time() - member.preparing)
            if self._first_answer is None and call is not None:
                self._first_answer = reply

    def _bury(self, member: _Member, reason: str) -> None:
        self._members.remove(member)
        if member.team is not None:
            self._teams.broken.add(member.team)
        self._ray.kill(member.handle)
        self._note(member, LOST, time.time(), 0.0)
        tasks = [task for task, _ in member.tasks]
        if member.setting_up:
            self._deaths_at_start += 1
            logger.warning("worker %s died while it got ready: %s", member.name, reason)
            if self._deaths_at_start >= START_DEATHS:
                raise TTSEvalError(
                    f"{START_DEATHS} workers of '{self.name}' died one after the other while they got ready: {reason}. "
                    "If memory is short, give fewer actors with --resources."
                )
            self.waiting.extendleft(reversed(tasks))
            return
        if not tasks:
            logger.warning("worker %s died while it had nothing to do: %s", member.name, reason)
            return
        culprit, *innocent = tasks
        again = culprit.after_death()
        logger.warning(
            "worker %s died: %s; its %d items are %s",
            member.name, reason, len(culprit.items), "tried again" if again else "given up",
        )  # fmt: skip
        if not again:
            self.outcomes.append(Outcome(culprit, None, reason))
        self.waiting.extendleft(reversed([*again, *innocent]))

    def abandon(self) -> None:
        """Forget all tasks, with the workers that are at one."""
        self.waiting.clear()
        self.outcomes.clear()
        for member in [member for member in self._members if member.tasks]:
            self._members.remove(member)
            self._ray.kill(member.handle)

    def close(self) -> None:
        """End all workers at once."""
        for member in self._members:
            self._ray.kill(member.handle)
        self._members.clear()


class Crew:
    """All groups of a cluster."""

    def __init__(self, cluster: Cluster, target: str, shares: Mapping[str, Share]) -> None:
        self._ray = cluster._ray
        self.timeline = Timeline()
        self._teams = Teams(shares)
        self.groups = {
            name: Group(cluster, name, target, share, self.timeline, self._teams) for name, share in shares.items()
        }

    def wait(self, seconds: float) -> list[Outcome]:
        """What is finished now, or within so many seconds.

        Raises:
            TTSEvalError: a worker refused to go on, e.g. `StoreError` for a full disk.
        """
        for group in self.groups.values():
            group.tend()
        answers = [answer for group in self.groups.values() for answer in group.answers]
        if answers:
            done, _ = self._ray.wait(answers, num_returns=1, timeout=seconds)
            if done:  # and whatever else is there by now
                done, _ = self._ray.wait(answers, num_returns=len(answers), timeout=0)
            for group in self.groups.values():
                group.collect(done)
        finished: list[Outcome] = []
        for group in self.groups.values():
            finished += group.outcomes
            group.outcomes.clear()
        return finished

    @property
    def in_flight(self) -> int:
        """Tasks that are waiting or at a worker, and outcomes that nobody has taken."""
        return sum(group.in_flight + len(group.outcomes) for group in self.groups.values())

    def abandon(self) -> None:
        """Forget all tasks; workers that are at one are ended, and others take their places when they are needed."""
        for group in self.groups.values():
            group.abandon()

    def drop_waiting(self) -> None:
        """Forget what no worker has yet."""
        for group in self.groups.values():
            group.waiting.clear()

    def close(self) -> None:
        """End all workers at once."""
        for group in self.groups.values():
            group.close()
        self._teams.close()
