"""Workers that share a node: one of each group that is to be together, as often as each group has workers.

    team 1: synth-1, asr-1     team 2: synth-2, asr-2     ...

What a worker makes is heard by those of its own team, so it is read where it was written. Ray keeps a place for the
whole team on one node (a placement group), and moves all of it to another when that node is lost. Until somebody is
back there, others do what was meant for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tts_eval.workers.cluster import GIGABYTE
from tts_eval.workers.resources import Share


class Teams:
    """The places that are kept for teams, counted from 0; made when somebody is put there."""

    def __init__(self, shares: Mapping[str, Share]) -> None:
        self._together = {name: share for name, share in shares.items() if share.together}
        self._places: dict[int, Any] = {}
        self.broken: set[int] = set()
        """Teams that have lost somebody: what waits for them is anybody's, where they have nobody."""

    def options(self, group: str, team: int) -> dict[str, Any]:
        """Ray's options that put a worker of a group where its team is."""
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        if team not in self._places:
            bundles = [_bundle(share) for share in self._together.values()]
            self._places[team] = placement_group(bundles, strategy="STRICT_PACK")
        strategy = PlacementGroupSchedulingStrategy(
            placement_group=self._places[team], placement_group_bundle_index=list(self._together).index(group)
        )
        return {"scheduling_strategy": strategy}

    def close(self) -> None:
        """Keep no places any more."""
        from ray.util.placement_group import remove_placement_group

        for place in self._places.values():
            remove_placement_group(place)
        self._places.clear()


def _bundle(share: Share) -> dict[str, float]:
    amounts = {"CPU": share.cpus, "GPU": share.gpus, "memory": int(share.memory * GIGABYTE)}
    return {kind: amount for kind, amount in amounts.items() if amount}
