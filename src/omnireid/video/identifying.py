"""Who is who among the tracklets of a site, by looks, floors and journeys together."""

from __future__ import annotations

from collections.abc import Sequence

from omnireid.video.linking import Circumstances, Evidence, Identity, Tracklet, link
from omnireid.video.meeting import Trail, meeting_evidence
from omnireid.video.options import Linking
from omnireid.video.plan import SitePlan
from omnireid.video.travel import travel_evidence


def identify(
    tracklets: Sequence[Tracklet],
    trails: Sequence[Trail | None],
    evidence: Evidence,
    linking: Linking = Linking(),
    plan: SitePlan = SitePlan(),
) -> tuple[Identity, ...]:
    """Group tracklets by person, twice: journeys are learned from the links of the first time.

    Args:
        trails: Of each tracklet; None where its camera has no ground plane.
        evidence: As `link` takes it.
    """
    meetings = meeting_evidence(trails, [tracklet.camera for tracklet in tracklets])
    identities = link(tracklets, evidence, linking, Circumstances(plan, meetings))
    journeys = travel_evidence(tracklets, identities)
    if not journeys.any():
        return identities
    return link(tracklets, evidence, linking, Circumstances(plan, meetings, journeys))
