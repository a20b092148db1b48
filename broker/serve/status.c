/* SPDX-License-Identifier: MIT */
#include "broker/serve/status.h"

#include "schema/json_writer.h"

/* Statuses whose plain reply is shared by all threads. */
static const guint shared_statuses[] = {400, 401, 403, 404, 405, 413, 416, 422, 500, 503};

guint status_of_error(const GError *error)
{
    if (error == NULL || error->domain != KONTOR_ERROR)
        return 500;
    switch ((KontorErrorCode)error->code) {
    case KONTOR_ERROR_NOT_FOUND:
        return 404;
    case KONTOR_ERROR_MALFORMED:
    case KONTOR_ERROR_UNSUPPORTED:
        return 400;
    case KONTOR_ERROR_LIMIT:
        return 413;
    case KONTOR_ERROR_DENIED:
        return 403;
    case KONTOR_ERROR_BUSY:
    case KONTOR_ERROR_CONFLICT:
    case KONTOR_ERROR_CANCELLED:
        return 503;
    case KONTOR_ERROR_SIGNATURE:
    case KONTOR_ERROR_UNTRUSTED:
    case KONTOR_ERROR_ROLLBACK:
    case KONTOR_ERROR_IO:
    case KONTOR_ERROR_CORRUPT:
    default:
        return 500;
    }
}

HttpReply *status_reply_json(guint status, GString *json)
{
    g_autoptr(GBytes) body = g_string_free_to_bytes(json);
    return http_reply_new(status, "application/json", body);
}

HttpReply *status_reply_detail(guint status, const char *detail)
{
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_member_string(&writer, "detail", detail);
        json_write_object_end(&writer);
    }
    return status_reply_json(status, json);
}

HttpReply *status_reply_busy(const char *detail)
{
    HttpReply *reply = status_reply_detail(503, detail);
    http_reply_add_header(reply, "Retry-After", "1");
    return reply;
}

static HttpReply *plain_reply(guint status)
{
    return status == 503 ? status_reply_busy(http_status_text(status))
                         : status_reply_detail(status, http_status_text(status));
}

HttpReply *status_reply(guint status)
{
    static HttpReply *shared[G_N_ELEMENTS(shared_statuses)];
    static gsize once;
    if (g_once_init_enter(&once)) {
        for (guint i = 0; i < G_N_ELEMENTS(shared_statuses); i++)
            shared[i] = plain_reply(shared_statuses[i]);
        g_once_init_leave(&once, 1);
    }
    for (guint i = 0; i < G_N_ELEMENTS(shared_statuses); i++) {
        if (shared_statuses[i] == status)
            return http_reply_ref(shared[i]);
    }
    return plain_reply(status);
}

HttpReply *status_reply_method(const char *allow)
{
    HttpReply *reply = plain_reply(405);
    http_reply_add_header(reply, "Allow", allow);
    return reply;
}

HttpReply *status_reply_rate_limited(guint retry_after_s)
{
    char seconds[16];
    g_snprintf(seconds, sizeof seconds, "%u", retry_after_s);
    HttpReply *reply = status_reply_detail(429, "rate limit exceeded");
    http_reply_add_header(reply, "Retry-After", seconds);
    return reply;
}

static void write_problem(JsonWriter *writer, const StatusProblem *problem)
{
    json_write_object_begin(writer);
    json_write_member_string(writer, "type", problem->type);
    json_write_key(writer, "loc");
    json_write_array_begin(writer);
    json_write_string(writer, "body");
    if (problem->loc != NULL)
        json_write_string(writer, problem->loc);
    json_write_array_end(writer);
    json_write_member_string(writer, "msg", problem->msg);
    json_write_object_end(writer);
}

HttpReply *status_reply_invalid(const StatusProblem *problems, guint count)
{
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_key(&writer, "detail");
        json_write_array_begin(&writer);
        for (guint i = 0; i < count; i++)
            write_problem(&writer, &problems[i]);
        json_write_array_end(&writer);
        json_write_object_end(&writer);
    }
    return status_reply_json(422, json);
}

HttpReply *status_reply_api(guint status, const char *code, const char *message)
{
    GString *json = g_string_new(NULL);
    {
        g_auto(JsonWriter) writer;
        json_writer_init(&writer, json, JSON_STYLE_PLAIN);
        json_write_object_begin(&writer);
        json_write_member_string(&writer, "error", code);
        json_write_member_string(&writer, "message", message);
        json_write_member_integer(&writer, "status", status);
        json_write_object_end(&writer);
    }
    g_autoptr(GBytes) body = g_string_free_to_bytes(json);
    return http_reply_new(status, "application/json; charset=utf-8", body);
}
