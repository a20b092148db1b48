/* SPDX-License-Identifier: MIT
 *
 * The log of a process: one line per event on standard error, "time level event key=value …" on a terminal,
 * one JSON object per line otherwise. Only the top layer logs; everything below returns errors. Values that
 * came from a peer are escaped. Queries, terms, payloads, tokens and keys never get here.
 *
 * Any thread may log; a line is written whole. Repeats of one event beyond 20 in 10 s are counted and
 * reported instead of written (not for errors).
 */
#pragma once

#include "broker/config.h"

typedef enum { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR } LogLevel;

/* Once, before threads start. CONFIG_LOG_AUTO: text on a terminal, JSON otherwise. */
void log_init(ConfigLogFormat format, LogLevel minimum);
/* Changes the format from the next line on. Main thread only, while others may be logging. */
void log_set_format(ConfigLogFormat format);
/* TRUE when lines are JSON: for modules that lay out many lines themselves (the access log). To be asked once
 * per line, because a reload may change it. */
gboolean log_is_json(void);

/* An event with pairs of (const char *key, const char *value), ended by NULL; a NULL value leaves its pair
 * out. Event and keys are our literals. */
void log_event(LogLevel level, const char *event, ...) G_GNUC_NULL_TERMINATED;
/* The same with `error=<message>` and `code=<name>` of a GError (may be NULL) before the pairs. */
void log_error_event(LogLevel level, const char *event, const GError *error, ...) G_GNUC_NULL_TERMINATED;

/* Appends "key=value" or "\"key\":\"value\"" (with the separator before it), escaped: for modules that build
 * lines. */
void log_append_pair(GString *line, gboolean json, const char *key, const char *value);
/* Writes complete lines, ended by LF, in one write. */
void log_write_lines(const char *lines, gsize len);
