"""All campaigns, in the order in which they run. Each is a module here with one `CAMPAIGN`."""

from __future__ import annotations

from torture.campaign import Campaign
from torture.campaigns import disks, ext4, hostile, kills, model, power, rot, time

CAMPAIGNS: tuple[Campaign, ...] = (
    kills.CAMPAIGN,
    time.CAMPAIGN,
    power.CAMPAIGN,
    ext4.CAMPAIGN,
    disks.CAMPAIGN,
    rot.CAMPAIGN,
    hostile.CAMPAIGN,
    model.CAMPAIGN,
)
