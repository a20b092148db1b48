/* SPDX-License-Identifier: MIT
 *
 * kontor.yaml and what the command line adds to it: the effective configuration, checked, with every default
 * filled in. Immutable after loading and atomically reference counted: a reload makes a new one.
 * docs/configuration.md and kontor.yaml(5) describe the keys.
 */
#pragma once

#include "mirror/agent/source.h"

/* An address to listen on. */
typedef struct {
    char *host;   /* IPv4 or IPv6 literal without brackets; "" means all addresses, both families */
    guint16 port; /* 0: the system chooses */
} ConfigAddress;

/* An address range such as 127.0.0.0/8 or ::1/128. */
typedef struct {
    guint8 bytes[16];  /* IPv6, IPv4 as ::ffff:a.b.c.d; network order */
    guint prefix_bits; /* 0..128, counted in that form */
} ConfigNetwork;

typedef enum { CONFIG_SIGNED_OFF, CONFIG_SIGNED_PREFERRED, CONFIG_SIGNED_REQUIRED } ConfigSigned;
typedef enum { CONFIG_LOG_AUTO, CONFIG_LOG_TEXT, CONFIG_LOG_JSON } ConfigLogFormat;
typedef enum { CONFIG_IP_TRUNCATED, CONFIG_IP_FULL, CONFIG_IP_NONE } ConfigLogAddress;

typedef struct {
    gatomicrefcount refs;
    char *data_dir; /* absolute */
    char *file;     /* absolute path of kontor.yaml, whether it exists or not */
    gboolean file_exists;
    char *name;               /* how the broker calls itself; default: host name */
    GArray *listen;           /* of ConfigAddress; default 0.0.0.0:8000 */
    GArray *listen_tls;       /* of ConfigAddress; empty without TLS */
    ConfigAddress api;        /* loopback only; default 127.0.0.1:7666 */
    gboolean api_enabled;     /* `api: off` turns it off */
    char *tls_cert, *tls_key; /* absolute PEM paths, or NULL */
    char *packs_dir;          /* absolute */
    char *trust_file;         /* absolute */
    ConfigSigned signed_local, signed_mirrors;
    char *admin_tokens_file; /* absolute, or NULL */
    GArray *proxies;         /* of ConfigNetwork; default 127.0.0.0/8 and ::1 */
    guint threads;           /* I/O threads; default: number of cores, at most 8 */
    guint workers;           /* default: number of cores, at least 2, at most 16 */
    ConfigLogFormat log_format;
    ConfigLogAddress
        log_address;          /* how client addresses stand in the access log; default truncated (/24, /48) */
    gboolean log_access;      /* default TRUE */
    guint64 page_cache_bytes; /* per I/O thread */
    char *store_dir;          /* absolute: <data>/store */
    char *read_tokens_file;   /* absolute: <data>/read_tokens.json */
    GPtrArray *sources;       /* of MirrorSource *: `mirrors`, then `peers`, in the order of the file */
    guint releases_kept;      /* of every path, the served one included; ≥ 1 */
    GPtrArray *warnings;      /* of char *: "FILE:LINE: …", what is allowed but hardly meant */
    struct {
        guint search_per_minute, register_per_minute; /* 0 = unlimited */
        guint nodes;
        guint connections, connections_per_ip;
        guint pending_queries, pending_per_ip;
        guint node_messages_per_second;
        guint64 store_bytes; /* quota of mirrored releases; read, checked and shown; used by the mirror */
    } limits;
} Config;

/* What the command line may override; NULL or 0 = not given. */
typedef struct {
    const char *data_dir; /* --data; else $KONTOR_DATA; else ~/.kontor */
    const char *file;     /* --config; else <data>/kontor.yaml */
    const char *text; /* what the file is taken to hold, for whoever is about to write it; else it is read */
    char **listen;    /* --listen, repeatable, NULL-terminated */
    const char *api;  /* --api */
    const char *packs_dir; /* --packs */
    guint threads;         /* --threads */
} ConfigOverrides;

/* Reads the file and applies the overrides (NULL: none). An absent <data>/kontor.yaml means the defaults; a
 * file named by `overrides->file` must exist. MALFORMED, LIMIT and UNSUPPORTED (a feature that this version
 * lacks) begin with "FILE:LINE: key: ", or with the option for what the command line gave; NOT_FOUND, DENIED
 * and IO with the file. */
Config *config_load(const ConfigOverrides *overrides, GError **error);
Config *config_ref(Config *config);
void config_unref(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_unref)

/* The effective configuration as YAML that config_load reads back to the same values. A new string. */
char *config_to_yaml(const Config *config);

/* "127.0.0.1:80", "[::1]:80", ":80" or "80". */
gboolean config_address_parse(const char *text, ConfigAddress *ret, GError **error);
void config_address_clear(ConfigAddress *address);
gboolean config_network_contains(const ConfigNetwork *network, const guint8 address[16]);
