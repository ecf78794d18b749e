"""The waits and intervals that a conversation goes by. Nobody sets them but tests, which cannot wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things are waited for, in seconds.

    Attributes:
        presence_delay_s: Changes of members and names this close together are told once.
        glossary_delay_s: The whole glossary is told at a time, so changes of it this close together are told once.
        talking_delay_s: Who talks is told this often at most, so that nobody can flood the room by speaking in bursts.
        away_s: Captions are made for a language this long after its last listener left: a lost connection mostly is
            back by then.
        stalled_s: A microphone sends something every 100 ms; a pause this long is a locked phone or a lost device.
        hangs_after_s: A call that has finished nothing for this much longer than an utterance may take hangs.
        watch_every_s: Whether one hangs is looked at this often.
        interim_min_speech_s: In less speech neither the language nor the words are sure, and it is mostly over before
            they could be read.
        interim_every_s: Time from one interim caption of a client to the next: readers get a few words at a time.
        interim_cost_valid_s: What an interim recognition cost longer ago says nothing any more: the machine may have
            been busy with something else.
        behind_s: A room in which something has waited for so long goes without interim captions. The longest utterance
            takes 7 s on two cores that have nothing else to do.
        well_behind_s: And then without the speech of clauses whose speaker goes on.
        far_behind_s: And then without all speech of new results, well before they would be given up.
        behind_look_s: How far a room is behind is looked at this often, while anything waits.
    """

    presence_delay_s: float = 0.05
    glossary_delay_s: float = 0.2
    talking_delay_s: float = 0.2
    away_s: float = 60.0
    stalled_s: float = 1.0
    hangs_after_s: float = 5.0
    watch_every_s: float = 1.0
    interim_min_speech_s: float = 1.5
    interim_every_s: float = 1.5
    interim_cost_valid_s: float = 30.0
    behind_s: float = 8.0
    well_behind_s: float = 11.0
    far_behind_s: float = 15.0
    behind_look_s: float = 0.5
