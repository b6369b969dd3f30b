"""All campaigns, in the order in which they run. Each is a module here with one `CAMPAIGN`."""

from __future__ import annotations

from torture.campaign import Campaign
from torture.campaigns import kills, time

CAMPAIGNS: tuple[Campaign, ...] = (kills.CAMPAIGN, time.CAMPAIGN)
