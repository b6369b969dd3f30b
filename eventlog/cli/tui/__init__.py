"""The program of `eventlog ui`, made with Textual; needs the extra `ui`."""
