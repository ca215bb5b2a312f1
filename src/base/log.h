#pragma once
/*
 * The program's own log: one line per event on standard error, "2026-01-31T23:59:59.123456Z info proxy: text".
 * Only the edges log (main, control, proxy, runtime); libraries return errors.
 * Ownership: none.       Threads: any; a line is one write.
 */
enum sl_log_level { SL_LOG_ERROR, SL_LOG_WARN, SL_LOG_INFO, SL_LOG_DEBUG };

void sl_log_set_level(enum sl_log_level level); /* default SL_LOG_INFO */
/* `area` is the folder or object kind the line is about: "proxy", "rollout". */
void sl_log(enum sl_log_level level, const char *area, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
