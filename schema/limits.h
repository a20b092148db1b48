/* SPDX-License-Identifier: MIT
 *
 * Every count, size, depth, queue and timeout that somebody outside this process can influence has its name
 * and its reason here. Numbers marked (contract) are what existing OCC Nodes see today; those marked
 * (protocol) stand in docs/formats.md. A limit that the operator may change has its default here and its key
 * in kontor.yaml(5).
 */
#pragma once

/* --- Packs on disk and releases (protocol) --- */
#define LIMIT_PACK_PATH_BYTES 512    /* slash path of a pack or of a file in a pack */
#define LIMIT_PATH_SEGMENT_BYTES 255 /* one name in a path: what every file system here allows */
#define LIMIT_PATH_DEPTH 32          /* segments of a path */
#define LIMIT_PACK_FILES 100000      /* files of one pack */
#define LIMIT_PACK_FILE_BYTES (8 * 1024 * 1024)
#define LIMIT_PACK_BYTES (256 * 1024 * 1024)
#define LIMIT_PACK_WARNINGS 100        /* kept per pack; further ones are only counted */
#define LIMIT_SCAN_PROBLEMS 1000       /* lines kept of one scan; further ones are only counted */
#define LIMIT_SCAN_DIRECTORIES 1000000 /* directories looked into by one scan, besides those of wikis */
#define LIMIT_PACKS 200000             /* packs of one broker's own packs directory */
#define LIMIT_STORE_BYTES (50ULL * 1024 * 1024 * 1024) /* mirrored releases, all together */
#define LIMIT_MANIFEST_BYTES (256 * 1024)              /* manifest.yaml */
#define LIMIT_MANIFEST_SIG_BYTES (32 * 1024 * 1024)    /* manifest.sig: two hashes and a name per page */
#define LIMIT_MANIFEST_TEXT_BYTES 4096 /* a name, version, URL … of manifest.yaml; longer ones are cut */
#define LIMIT_MANIFEST_DOMAINS 1000    /* further ones are left out */
#define LIMIT_MANIFEST_SOURCES 10000   /* further ones are left out */
#define LIMIT_MANIFEST_SIG_TEXT_BYTES 1024  /* a name, date, key … of manifest.sig */
#define LIMIT_INDEX_BYTES (8 * 1024 * 1024) /* wiki/index.md */
#define LIMIT_INDEX_ROWS 100000
#define LIMIT_SUMMARY_BYTES                                                                                  \
    (64 * 1024)               /* a summary, title or cell longer than this is cut at a character             \
                               */
#define LIMIT_BODY_CHARS 2000 /* code points of a page's body that are searched (contract) */

/* --- Documents --- */
#define LIMIT_JSON_DEPTH 32
#define LIMIT_JSON_VALUES 1000000  /* values in one document, so that small bytes cannot make huge trees */
#define LIMIT_JSON_NUMBER_BYTES 63 /* what the tree builder reads of a number; a double needs 24 */
#define LIMIT_SEMVER_BYTES 128     /* a version number; the longest in use have some 40 */
#define LIMIT_YAML_DEPTH 32
#define LIMIT_YAML_NODES 100000          /* after alias expansion, which is refused anyway */
#define LIMIT_CONFIG_BYTES (1024 * 1024) /* kontor.yaml */

/* --- Signing --- */
#define LIMIT_NOTE_BYTES 65536
#define LIMIT_NOTE_SIGNATURES 64
#define LIMIT_KEY_FILE_BYTES 4096
#define LIMIT_TRUST_BYTES (4 * 1024 * 1024)
#define LIMIT_TRUST_ENTRIES 10000
#define LIMIT_TRUST_PATHS 1000      /* globs of one entry */
#define LIMIT_TRUST_TEXT_BYTES 1024 /* a name or note; longer ones are cut */
#define LIMIT_KEY_NAME_BYTES 256    /* the name in a key file and of a key in a signed note */
#define LIMIT_PASSPHRASE_BYTES 1024
#define LIMIT_KDF_MEMORY_BYTES (256 * 1024 * 1024) /* a key file must not make us allocate more */
#define LIMIT_KDF_PASSES 16
#define LIMIT_LINT_FINDINGS 10000 /* kept of one pack; further ones are only counted */

/* --- Catalog exchange (protocol) --- */
#define LIMIT_CATALOG_ITEMS 2000000  /* packs of another broker's catalog that we are ready to compare */
#define LIMIT_DIGEST_PREFIXES 64     /* prefixes of the digest trie asked in one request */
#define LIMIT_DIGEST_REQUESTS 100000 /* requests of one comparison, to each side */
#define LIMIT_DIGEST_ANSWER_BYTES (64 * 1024 * 1024)
#define LIMIT_JOURNAL_STEP_CHANGES 1000 /* changes of one answer, and of one generation that is kept */
#define LIMIT_JOURNAL_CHANGES 20000     /* changes kept, all generations together */
#define LIMIT_JOURNAL_STEPS 4096        /* generations kept */

/* --- Mirrors --- */
#define LIMIT_SOURCES 1000      /* mirrors and peers together */
#define LIMIT_SOURCE_GLOBS 1000 /* include or exclude */
#define LIMIT_SOURCE_NAME_BYTES 64
#define LIMIT_SOURCE_REF_BYTES 255   /* a branch or tag */
#define LIMIT_SOURCE_USER_BYTES 255  /* a user name */
#define LIMIT_SOURCE_FILE_BYTES 4095 /* the name of a file of credentials */
#define LIMIT_SOURCE_INTERVAL_SECONDS 60
#define LIMIT_SOURCE_INTERVAL_MIN_SECONDS 1
#define LIMIT_SOURCE_INTERVAL_MAX_SECONDS (365 * 24 * 3600)
#define LIMIT_SOURCE_BYTES (2ULL * 1024 * 1024 * 1024) /* received in one sync */
#define LIMIT_SOURCE_SECONDS 900                       /* of one sync */
#define LIMIT_SOURCE_SECONDS_MAX (24 * 3600)           /* … that may be configured */
#define LIMIT_SOURCE_FAILURES 5                        /* in a row: marked, and tried once a day */
#define LIMIT_SOURCE_BACKOFF_SECONDS (24 * 3600)
#define LIMIT_SYNC_RESULTS 10000000 /* that one sync may report: what it says of each is kept */
#define LIMIT_SHRINK_PERCENT 20     /* more gone at once (protocol): held until the operator confirms */
#define LIMIT_RELEASES_KEPT 3       /* of every path, the served one included */
#define LIMIT_MIRROR_HISTORY 10000  /* rows kept */
#define LIMIT_AGENT_LINE_BYTES (1024 * 1024)        /* one message between broker and agent */
#define LIMIT_GIT_OBJECTS 20000000                  /* in one fetched pack */
#define LIMIT_GIT_OBJECT_BYTES (256 * 1024 * 1024)  /* made of a delta */
#define LIMIT_GIT_TREE_BYTES (16 * 1024 * 1024)     /* the listing of one directory */
#define LIMIT_GIT_LISTINGS_BYTES (96 * 1024 * 1024) /* of directories that are looked into together */
#define LIMIT_GIT_MEMORY_BYTES (1024 * 1024 * 1024) /* of libgit2, all together */
#define LIMIT_GIT_WINDOW_BYTES (32 * 1024 * 1024)   /* of a pack file that is mapped at once */
#define LIMIT_GIT_MAPPED_BYTES (512 * 1024 * 1024)  /* of all pack files */
#define LIMIT_GIT_REFS_BYTES (64 * 1024 * 1024)     /* what a server says about its branches and tags */
#define LIMIT_GIT_COPY_PACKS 50 /* pack files of a bare copy; when there are more, small ones are joined */
#define LIMIT_GIT_DISK_FREE_BYTES (128 * 1024 * 1024)   /* left on the disk by a fetch */
#define LIMIT_STORE_DISK_FREE_BYTES (128 * 1024 * 1024) /* left on the disk by packs that are staged */
#define LIMIT_STORE_DISK_CHECK_BYTES (4 * 1024 * 1024)  /* staged between two looks at it */
#define LIMIT_GIT_CONNECT_SECONDS 10
#define LIMIT_GIT_STALL_SECONDS 60 /* a server says nothing for so long while it makes a pack: given up */
#define LIMIT_GIT_READ_BYTES (64 * 1024 * 1024) /* of packs read ahead of the one being staged */
#define LIMIT_GIT_STATE_BYTES 4096              /* what is remembered between two syncs of a source */
#define LIMIT_SECRET_BYTES 4096                 /* a token */
#define LIMIT_NETRC_BYTES (64 * 1024)
#define LIMIT_KNOWN_HOSTS_BYTES (8 * 1024 * 1024)
#define LIMIT_READ_TOKENS 1000
#define LIMIT_READ_TOKENS_BYTES (8 * 1024 * 1024) /* the file that knows them */
#define LIMIT_READ_TOKEN_NAME_BYTES 64
#define LIMIT_READ_TOKEN_PATHS 100 /* globs of one token */
#define LIMIT_VIEWS 64             /* different sets of private packs that tokens show */

/* --- Public HTTP --- */
#define LIMIT_HTTP_TARGET_BYTES 8192 /* request target; longer: 414 */
#define LIMIT_HTTP_HEAD_BYTES 16384  /* request line and headers; longer: 431 */
#define LIMIT_HTTP_HEADERS 100       /* header lines; more: 431 */
#define LIMIT_HTTP_BODY_BYTES                                                                                \
    (1024 * 1024) /* request body (contract: the reference's front allows 1 MB); longer: 413 */
#define LIMIT_HTTP_CONNECTIONS 65536 /* open public connections */
#define LIMIT_HTTP_CONNECTIONS_PER_IP                                                                        \
    16384                           /* loopback fronts make one address of many clients; see kontor.yaml(5) */
#define LIMIT_HTTP_HEAD_SECONDS 15  /* from first byte to end of headers */
#define LIMIT_HTTP_BODY_SECONDS 30  /* from end of headers to end of body */
#define LIMIT_HTTP_IDLE_SECONDS 75  /* keep-alive between requests */
#define LIMIT_HTTP_WRITE_SECONDS 30 /* without progress while an answer waits to be read */
#define LIMIT_HTTP_PIPELINE 64      /* requests answered from one read before others get their turn */
#define LIMIT_HTTP2_STREAMS 256     /* requests at once on one HTTP/2 connection */
#define LIMIT_HTTP_HELD_BYTES (128 * 1024 * 1024) /* unfinished bodies in one I/O thread; more: 503 */
#define LIMIT_PAGE_CACHE_BYTES (64 * 1024 * 1024) /* answers kept by each I/O thread */
#define LIMIT_IO_THREADS 64
#define LIMIT_WORKERS 64
#define LIMIT_WORKER_QUEUE 4096 /* jobs waiting for a worker; more: 503 */

/* --- Catalog (protocol) --- */
#define LIMIT_CATALOG_PAGE 1000 /* items of one answer */
#define LIMIT_CATALOG_PAGE_DEFAULT 100

/* --- Search (contract for k, limit and window) --- */
#define LIMIT_SEARCH_K 50
#define LIMIT_SEARCH_K_DEFAULT 10
#define LIMIT_SEARCH_CANDIDATES 3200 /* looked at to have k left of which the asker may see all */
#define LIMIT_LOOKUP_LIMIT 20
#define LIMIT_LOOKUP_LIMIT_DEFAULT 5
#define LIMIT_SEARCH_QUERY_BYTES                                                                             \
    (512 * 1024)               /* q of a request: the contract has no limit; 5,000 words must work */
#define LIMIT_SEARCH_TERMS 256 /* distinct words of a query that are looked up; later ones are ignored */
#define LIMIT_VOCABULARY_BYTES (16 * 1024 * 1024) /* words kept in memory to stand in for unknown ones */
#define LIMIT_VOCABULARY_WORD_BYTES 64            /* a longer word stands in for nothing */
#define LIMIT_SEARCH_DEADLINE_MS 2000             /* a query still running then is stopped: 503 */
#define LIMIT_RATE_WINDOW_SECONDS 60              /* (contract) */
#define LIMIT_SEARCH_PER_MINUTE 60   /* /search and /lookup_entity together, per address (contract) */
#define LIMIT_REGISTER_PER_MINUTE 60 /* register attempts per address (contract) */
#define LIMIT_RATE_ADDRESSES 10000   /* addresses watched at once */

/* --- Nodes: /ws --- */
#define LIMIT_NODES 20000        /* registered at once */
#define LIMIT_IDENTITIES 1000000 /* rows of the identity table (contract) */
#define LIMIT_NODE_ID_BYTES 128
#define LIMIT_TIER_NAME_BYTES 32
#define LIMIT_VRAM_MB (64 * 1024 * 1024) /* 64 TiB */
#define LIMIT_QUERY_ID_BYTES 128
#define LIMIT_FROM_NODE_BYTES 256
#define LIMIT_WS_MESSAGE_BYTES                                                                               \
    (1024 * 1024) /* a message in and a forwarded frame out, in bytes (contract: characters) */
#define LIMIT_WS_OUT_BYTES (8 * 1024 * 1024) /* unsent bytes of one socket; more: closed as a slow reader */
#define LIMIT_RELAY_FRAME_BYTES                                                                              \
    (512 * 1024 * 1024) /* queries and answers that nobody has read yet, of all sockets */
#define LIMIT_WS_UNFINISHED_BYTES                                                                            \
    (128 * 1024 * 1024) /* messages in pieces, in one I/O thread; above it the longest is dropped */
#define LIMIT_WS_OUT_MESSAGES 1024  /* unsent messages of one socket */
#define LIMIT_PENDING_QUERIES 10000 /* queries waiting for an answer, all together (contract) */
#define LIMIT_PENDING_PER_CONNECTION 1024
#define LIMIT_PENDING_PER_IP 4096
#define LIMIT_PENDING_PER_TARGET 1024
#define LIMIT_PENDING_SECONDS 60
#define LIMIT_NODE_ALIVE_SECONDS 90 /* no register or ping for so long: not listed, closed (contract) */
#define LIMIT_WS_PING_SECONDS 20    /* our WebSocket ping (contract) */
#define LIMIT_WS_WRITE_SECONDS                                                                               \
    30                           /* messages wait and not one is taken for so long: closed at the next ping */
#define LIMIT_WS_PONG_SECONDS 60 /* no frame at all for so long: closed */
#define LIMIT_WS_MESSAGES_PER_SECOND 10000 /* one socket's quota; above it is read more slowly */

/* --- HTTP that we ask for: the mirror and the command line --- */
#define LIMIT_FETCH_HEAD_BYTES (64 * 1024) /* headers of one answer, redirects included */
#define LIMIT_FETCH_URL_BYTES 8192
#define LIMIT_FETCH_CONNECT_MS 5000 /* name look-up, TCP and TLS together; default of FetchOptions */
#define LIMIT_FETCH_TOTAL_MS 30000  /* whole exchange; default of FetchOptions */
#define LIMIT_FETCH_STALL_SECONDS                                                                            \
    15 /* without a single byte for so long: given up, whatever the total allows */
#define LIMIT_PEER_ANSWER_MS 300000 /* one answer of a peer; slow lines are shared by many */
#define LIMIT_PEER_ETAG_BYTES 256   /* a longer tag is not sent back */
#define LIMIT_PEER_CATALOG_BYTES (1024 * 1024 * 1024) /* of a peer's catalog, as read or as kept */
#define LIMIT_PEER_MEMORY_BYTES                                                                              \
    (1024 * 1024 * 1024)                           /* above it no catalog is kept in memory between syncs    \
                                                    */
#define LIMIT_PEER_ATTEMPTS 3                      /* to read a catalog that keeps changing */
#define LIMIT_PEER_PACKS 32                        /* packs of one peer fetched at once */
#define LIMIT_PEER_PACK_REQUESTS 64                /* requests of one pack under way */
#define LIMIT_PEER_ASK_SHRUNK 64                   /* packs that are gone: asked about, sync not held */
#define LIMIT_PEER_FAILURES 64                     /* packs in a row that cannot be fetched: the sync ends */
#define LIMIT_PEER_RETRY_SECONDS 5                 /* until such a pack is tried again; doubles up to a day */
#define LIMIT_TOKEN_BYTES 1024                     /* a token in a file */
#define LIMIT_FETCH_PARALLEL 64                    /* requests under way at once, to one broker */
#define LIMIT_FETCH_HELD_BYTES (128 * 1024 * 1024) /* of unfinished answers; above it all but one wait */
#define LIMIT_FETCH_SLOW_BYTES 128                 /* per second, where many answers share a line */
#define LIMIT_DOWNLOAD_FILE_MS 20000               /* one file of a pack (contract: what a Node waits) */
#define LIMIT_DOWNLOAD_SECONDS 1800                /* a whole pack, however many files it has */
#define LIMIT_DOWNLOAD_REDIRECTS 5                 /* hops per file */
#define LIMIT_VERIFY_BROKERS 64                    /* that 'kontor verify' asks at once */
#define LIMIT_WS_HELD_BYTES (2 * 1024 * 1024) /* of a socket's messages while its registration is decided */
#define LIMIT_REQUESTER_PUBKEY_BYTES 256      /* forwarded unread; a key takes 44 */
#define LIMIT_REGISTRATION_BATCH 1024         /* registrations that share one transaction */
#define LIMIT_IDENTITY_FLEETING_SECONDS                                                                      \
    (24 * 3600) /* an id that never came back after so long may be recycled from a full table … */
#define LIMIT_IDENTITY_RECYCLE_SECONDS (7 * 24 * 3600) /* … when it was not seen for so long */
#define LIMIT_IDENTITY_GRACE_SECONDS 600 /* nothing is recycled so soon after the start: Nodes come back */
