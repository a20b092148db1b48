/* SPDX-License-Identifier: MIT */
#include "broker/cli/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "schema/limits.h"
#include "signing/key.h"

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static volatile sig_atomic_t signal_seen;

static void note_signal(int number)
{
    signal_seen = number;
}

/* Waits until there is something to read. The signals of a question are blocked but for this wait, so that
 * none can come between looking for it and waiting. FALSE with errno, EINTR when one came. */
static gboolean wait_readable(int fd, const sigset_t *while_waiting)
{
    struct pollfd poll = {.fd = fd, .events = POLLIN};
    int n;

    do {
        n = ppoll(&poll, 1, NULL, while_waiting);
    } while (n < 0 && errno == EINTR && signal_seen == 0);
    return n > 0;
}

/* One byte at a time, because what follows belongs to the next reader. Returns the length, or -1 with errno.
 */
static gssize read_line(int fd, const sigset_t *while_waiting, char *buffer, gsize size)
{
    gsize len = 0;

    while (len < size) {
        ssize_t n = wait_readable(fd, while_waiting) ? read(fd, buffer + len, 1) : -1;

        if (n < 0 && (errno != EINTR || signal_seen != 0)) {
            return -1;
        }
        if (n == 0 || (n == 1 && buffer[len] == '\n')) {
            break;
        }
        len += n > 0 ? 1 : 0;
    }
    return (gssize)len;
}

static gboolean check_line(char *line, gsize len, GError **error)
{
    if (len > LIMIT_PASSPHRASE_BYTES) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_LIMIT, "the passphrase has more than %d bytes",
                    LIMIT_PASSPHRASE_BYTES);
        return FALSE;
    }
    if (len > 0 && line[len - 1] == '\r') {
        len--;
    }
    line[len] = '\0';
    if (len == 0 || strlen(line) != len) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "the passphrase %s",
                    len == 0 ? "is empty" : "has a NUL byte");
        return FALSE;
    }
    return TRUE;
}

static char *read_passphrase(int fd, const sigset_t *while_waiting, GError **error)
{
    char *line = secret_alloc(LIMIT_PASSPHRASE_BYTES + 2);
    gssize len = read_line(fd, while_waiting, line, LIMIT_PASSPHRASE_BYTES + 1);

    if (len < 0) {
        kontor_error_set_errno(error, errno, "passphrase from descriptor %d", fd);
    } else if (check_line(line, (gsize)len, error)) {
        return line;
    }
    secret_free(line);
    return NULL;
}

char *passphrase_read(int fd, GError **error)
{
    signal_seen = 0;
    return read_passphrase(fd, /* while_waiting= */ NULL, error);
}

/* One question with the echo off. */
static char *ask_once(int tty, const char *prompt, GError **error)
{
    struct termios with_echo, without;
    struct sigaction action = {.sa_handler = note_signal}, old[G_N_ELEMENTS(caught)];
    sigset_t signals, before;
    char *line;

    if (tcgetattr(tty, &with_echo) != 0) {
        kontor_error_set_errno(error, errno, "terminal");
        return NULL;
    }
    signal_seen = 0;
    sigemptyset(&signals);
    for (guint i = 0; i < G_N_ELEMENTS(caught); i++) {
        sigaddset(&signals, caught[i]);
        sigaction(caught[i], &action, &old[i]);
    }
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    without = with_echo;
    without.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    tcsetattr(tty, TCSAFLUSH, &without);
    dprintf(tty, "%s: ", prompt);
    line = read_passphrase(tty, &before, error);
    tcsetattr(tty, TCSAFLUSH, &with_echo);
    dprintf(tty, "\n");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(caught); i++) {
        sigaction(caught[i], &old[i], NULL);
    }
    if (signal_seen != 0) {
        raise(signal_seen);
    }
    return line;
}

static char *ask_again(int tty, const char *prompt, char *first, GError **error)
{
    g_autofree char *again = g_strconcat(prompt, ", once more", NULL);
    char *second = ask_once(tty, again, error);
    gboolean equal = second != NULL && texts_equal_constant_time(first, second);

    if (second != NULL && !equal) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_MALFORMED, "the two passphrases differ");
    }
    secret_free(second);
    if (equal) {
        return first;
    }
    secret_free(first);
    return NULL;
}

char *passphrase_ask(const char *prompt, gboolean twice, GError **error)
{
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    char *line;

    if (tty < 0) {
        g_set_error(error, KONTOR_ERROR, KONTOR_ERROR_DENIED,
                    "there is no terminal to ask for the passphrase; use --passphrase-fd");
        return NULL;
    }
    line = ask_once(tty, prompt, error);
    if (line != NULL && twice) {
        line = ask_again(tty, prompt, line, error);
    }
    close(tty);
    return line;
}
