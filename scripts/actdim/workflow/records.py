"""Snakemake's records of how files were made, for which it has no public interface.

Only what is known of KNOWN_VERSION is used. With another version of Snakemake, or with records in a database, the
workflow runs without: see `changes.reasons_to_run_again`.
"""

from importlib.metadata import version
from pathlib import Path

from actdim.provenance import digest_of_code

KNOWN_VERSION = "9.27."
OTHER_PARAMS = ["made by other settings or code"]


class Records:
    """Snakemake's records of the files of the working directory."""

    def __init__(self):
        from snakemake.persistence.file import FilePersistence

        self.persistence = FilePersistence(path=Path(".snakemake").absolute())

    def has(self, output):
        """Tell whether Snakemake has a record of a file."""
        return self.persistence._read_record(output) is not None

    def state(self, job):
        """Tell whether the record of a Job's output states its settings and code: `snakemake --touch` writes such."""
        params = {repr(param) for param in [*job.params, digest_of_code(job.code)]}
        return params <= set(self.persistence._read_record(job.output).params or [])

    def note_other_params(self, output):
        """Note that a file was made with parameters that no job has now, so that Snakemake makes it again."""
        from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord

        record = MetadataRecord(record_format_version=RECORD_FORMAT_VERSION, params=OTHER_PARAMS)
        self.persistence._write_record(output, record)

    def forget_other_params(self, output):
        """Remove what `note_other_params` wrote, if it is still there."""
        record = self.persistence._read_record(output)
        if record and record.params == OTHER_PARAMS:
            self.persistence._delete_record(output)


def open_records(settings):
    """Return the Records; None where they are not known: another version of Snakemake, or another backend than files.

    settings: Snakemake's WorkflowSettings.
    """
    is_known = version("snakemake").startswith(KNOWN_VERSION) and settings.persistence_backend.name == "FILE"
    return Records() if is_known else None
