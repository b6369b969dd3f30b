/* What the functions in this directory return. */

#ifndef EVENTLOG_STORE_STATUS_H
#define EVENTLOG_STORE_STATUS_H

enum el_status {
    EL_DONE = 0,
    EL_SEGMENT_CHANGED = -1, /* another process rolled, or is rolling: attach to the new segment */
    EL_ROLL_NEEDED = -2,
    EL_LOCK_TIMEOUT = -3,
    EL_POISONED = -4,
    EL_DISK_FULL = -5,
    EL_IO_ERROR = -6,
    EL_UNIT_TOO_LARGE = -7, /* more bytes than one segment may hold */
    EL_INTERRUPTED = -8,    /* a signal arrived: let Python run its handler */
    EL_TIMED_OUT = -9,
    EL_NO_MEMORY = -10,
    EL_RECORD_TOO_LARGE = -11,
    EL_STALE_MEMBER = -12, /* another member owns the partition */
    EL_SETTINGS_CHANGED = -13, /* the topic was altered: load its settings, and encode the records again */
    EL_HELD_ALREADY = -14,     /* by this very thread: a signal handler came in again */
    EL_OFFSETS_USED_UP = -15,  /* the unit would need offsets beyond the largest one */
    EL_FILE_TOO_LARGE = -16,   /* for this process alone: RLIMIT_FSIZE */
    EL_CLOSED = -17,           /* this process is letting go of what would be written to */
    EL_CONFLICT = -18,         /* the log does not end where the caller expected it to */
};

#endif
