"""All that a receiver's clicks of a block are watched for: the same for an analysis and for a node of its own."""

from faintlink.core.config.link import Monitors
from faintlink.core.symbols import Party
from faintlink.postprocess.qkd import monitors
from faintlink.postprocess.qkd.detection import ArrivalStatistics
from faintlink.postprocess.qkd.monitor_arrivals import arrival_readings
from faintlink.postprocess.qkd.monitors import MonitorReading


def receiver_readings(party: Party, statistics: ArrivalStatistics, policy: Monitors) -> list[MonitorReading]:
    """Return every reading of one receiver's clicks."""
    return [
        *monitors.detector_balance(statistics.clicks, policy, party),
        *monitors.timing_skew(statistics.moments, policy),
        *monitors.double_clicks(statistics.events, statistics.multi, policy),
        *arrival_readings(statistics, policy, party),
    ]
