"""One self-contained HTML page that shows a sweep: what won, how surely, and what each configuration produced."""

from raysweep.record.report.page import ReportInput, write_report

__all__ = ["ReportInput", "write_report"]
