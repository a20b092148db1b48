/* SPDX-License-Identifier: MIT */
#include "mirror/agent/peer_tombstones.h"

/* A question under way. */
typedef struct {
    const char *path; /* borrowed from the asker */
    GBytes *sig;      /* NULL: none came */
    PeerTombstone answer;
} Question;

static void question_free(gpointer data)
{
    Question *question = data;
    g_clear_pointer(&question->sig, g_bytes_unref);
    g_free(question);
}

/* --- Life cycle --- */

void peer_tombstones_init(PeerTombstones *tombstones, Intake *intake, PeerClient *client)
{
    *tombstones = (PeerTombstones){
        .intake = intake,
        .client = client,
        .found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
    };
}

void peer_tombstones_clear(PeerTombstones *tombstones)
{
    g_clear_pointer(&tombstones->found, g_hash_table_unref);
}

/* --- Asking --- */

/* For FetchDoneFunc. A peer that is busy may know more later; every other refusal is an answer. */
static void take_answer(FetchAnswer *taken, const GError *error, gpointer user)
{
    Question *question = user;
    g_autoptr(FetchAnswer) answer = taken;
    g_autoptr(GError) problem =
        error != NULL ? g_error_copy(error) : peer_client_status_error(answer, "tombstone");
    if (problem == NULL)
        question->sig = g_bytes_ref(answer->body);
    else if (!g_error_matches(problem, KONTOR_ERROR, KONTOR_ERROR_BUSY) &&
             !g_error_matches(problem, KONTOR_ERROR, KONTOR_ERROR_IO))
        question->answer = PEER_TOMBSTONE_NONE;
}

static gboolean judge(PeerTombstones *tombstones, Question *question, GError **error)
{
    gboolean accepted = FALSE;
    if (question->sig == NULL)
        return TRUE;
    if (!intake_withdraw(tombstones->intake, question->path, "tombstone", question->sig, &accepted, error))
        return FALSE;
    question->answer = accepted ? PEER_TOMBSTONE_ACCEPTED : PEER_TOMBSTONE_NONE;
    return TRUE;
}

gboolean peer_tombstones_ask(PeerTombstones *tombstones, const GPtrArray *paths, GError **error)
{
    g_autoptr(GPtrArray) questions = g_ptr_array_new_with_free_func(question_free);
    for (guint i = 0; i < paths->len; i++) {
        const char *path = g_ptr_array_index(paths, i);
        if (peer_tombstones_of(tombstones, path) != PEER_TOMBSTONE_UNKNOWN)
            continue;
        Question *question = g_new0(Question, 1);
        question->path = path;
        g_ptr_array_add(questions, question);
        peer_client_add_tombstone(tombstones->client, path, take_answer, question);
    }
    if (questions->len > 0 && !fetch_pool_run(peer_client_pool(tombstones->client), 0, error))
        return FALSE;
    for (guint i = 0; i < questions->len; i++) {
        Question *question = g_ptr_array_index(questions, i);
        if (!judge(tombstones, question, error))
            return FALSE;
        g_hash_table_replace(tombstones->found, g_strdup(question->path), GUINT_TO_POINTER(question->answer));
    }
    return TRUE;
}

PeerTombstone peer_tombstones_of(const PeerTombstones *tombstones, const char *path)
{
    return (PeerTombstone)GPOINTER_TO_UINT(g_hash_table_lookup(tombstones->found, path));
}
