/* config/: durations and sizes, URLs, INI files, variables, overrides, defaults, every kind of mistake, secrets, no memory. */
#include "dbm_test.h"

static const dbm__known_type types[] = {
    { "sqlite", "sqlite,file", "busy_timeout,foreign_keys,journal_mode", NULL, NULL },
    { "postgresql", "postgresql,postgres", "fetch_rows", NULL, NULL },
    { "mysql", "mysql,mariadb", "", NULL, NULL },
    { "redis", "redis,rediss,unix", NULL, NULL, NULL },
    { "mongodb", "mongodb,mongodb+srv", NULL, "DBM_WITH_MONGODB", "libmongoc-dev" },
    { "neo4j", "neo4j,bolt", "realm,auth_token", NULL, NULL }
};
enum { TYPES = sizeof types / sizeof types[0] };

static test_heap heap;
static test_log logged;
static dbm__host host;
static dbm__settings_list list;
static dbm__settings *one;
static dbm__problems problems;
static char said[8192];

static int setup(void **state) {
    dbm_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    memset(&heap, 0, sizeof heap);
    memset(&list, 0, sizeof list);
    one = NULL;
    said[0] = 0;
    test_log_clear(&logged);
    options.allocator = test_heap_allocator(&heap);
    options.log = test_log_hook;
    options.log_ud = &logged;
    return dbm__host_init(&host, &options) == DBM_OK ? 0 : -1;
}

static void forget(void) {
    dbm__settings_list_free(&host, &list);
    dbm__settings_free(&host, one);
    one = NULL;
}

static int teardown(void **state) {
    (void)state;
    forget();
    dbm__host_free(&host);
    return test_heap_live(&heap) == 0 ? 0 : -1;
}

static dbm_status load_n(const char *text, size_t size) {
    forget();
    dbm__problems_init(&problems, &host, said, sizeof said);
    return dbm__config_load(&host, "app.ini", text, size, types, TYPES, true, &list, &problems);
}
static dbm_status load(const char *text) { return load_n(text, SIZE_MAX); }

static dbm_status make(const dbm_config *config) {
    forget();
    dbm__problems_init(&problems, &host, said, sizeof said);
    return dbm__config_make(&host, config, types, TYPES, &one, &problems);
}

/* The text loads, and all that was said is nothing. */
#define assert_loads(text) \
    do { \
        dbm_status rc__ = load(text); \
        if (rc__ != DBM_OK) print_error("%s", said); \
        assert_int_equal(rc__, DBM_OK); \
        assert_string_equal(said, ""); \
    } while (0)
/* The text has one mistake, and it is said in these words; nothing is loaded. */
#define assert_refuses(text, words) \
    do { \
        assert_int_equal(load(text), DBM_E_CONFIG); \
        assert_int_equal(list.count, 0); \
        assert_null(list.items); \
        assert_string_equal(said, words "\n"); \
        assert_int_equal(problems.count, 1); \
    } while (0)
#define assert_has(text, part)                                                                                                   \
    do {                                                                                                                         \
        if (!strstr(text, part)) print_error("no '%s' in: %s", part, text);                                                      \
        assert_non_null(strstr(text, part));                                                                                     \
    } while (0)
#define assert_hides(text, part) \
    do { \
        if (strstr(text, part)) print_error("'%s' is in: %s", part, text); \
        assert_null(strstr(text, part)); \
    } while (0)

static char built[65536];
/* A section [databases.a] with one line. */
static const char *with(const char *line) {
    (void)snprintf(built, sizeof built, "[databases.a]\nurl = postgresql://db1/shop\n%s\n", line);
    return built;
}
static const char *with_url(const char *url) {
    (void)snprintf(built, sizeof built, "[databases.a]\nurl = %s\n", url);
    return built;
}
#define AT3(key) "app.ini:3: [databases.a] " key ": "
#define AT2(key) "app.ini:2: [databases.a] " key ": "

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void durations(void **state) {
    static const struct { const char *text; int ms; } good[] = {
        { "30s", 30000 }, { "10min", 600000 }, { "500ms", 500 }, { "1h", 3600000 }, { "2d", 172800000 }, { "1.5s", 1500 }, { "7", 7000 },
        { "0", 0 }, { "-1", -1 }, { "0.25", 250 }, { "30 s", 30000 }, { "30S", 30000 }, { "0.0001s", 1 }, { "0.00000000001", 1 },
        { "1.0009ms", 2 }, { "2147483647ms", INT_MAX }, { "24d", 2073600000 }, { "2147483.647", INT_MAX }, { "0.5d", 43200000 }, { "0s", 0 }
    };
    static const char *const bad[] = {
        "", " ", "s", "5m", "5 m", "5sec", "-2", "-1s", "+5", ".5", "5.", "5. s", "1e3", "25d", "2147483648ms", "2147483.648",
        "99999999999999999999", "5s ", "5ss", "1,5", "0x10", "five", "5s5"
    };
    size_t i;
    int ms;
    (void)state;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        ms = -77;
        if (!dbm__parse_duration(good[i].text, &ms) || ms != good[i].ms) fail_msg("%s gave %d", good[i].text, ms);
    }
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (dbm__parse_duration(bad[i], &ms)) fail_msg("'%s' gave %d", bad[i], ms);
    }
    assert_false(dbm__parse_duration(NULL, &ms));
}

static void integers(void **state) {
    int64_t v = 0;
    (void)state;
    assert_true(dbm__parse_int("0", 0, 10, &v));
    assert_int_equal(v, 0);
    assert_true(dbm__parse_int("-5", -5, 10, &v));
    assert_int_equal(v, -5);
    assert_true(dbm__parse_int("+5", -5, 10, &v));
    assert_int_equal(v, 5);
    assert_true(dbm__parse_int("9223372036854775807", INT64_MIN, INT64_MAX, &v));
    assert_true(v == INT64_MAX);
    assert_true(dbm__parse_int("-9223372036854775808", INT64_MIN, INT64_MAX, &v));
    assert_true(v == INT64_MIN);
    assert_false(dbm__parse_int("9223372036854775808", INT64_MIN, INT64_MAX, &v));
    assert_false(dbm__parse_int("-9223372036854775809", INT64_MIN, INT64_MAX, &v));
    assert_false(dbm__parse_int("11", 0, 10, &v));
    assert_false(dbm__parse_int("", 0, 10, &v));
    assert_false(dbm__parse_int("-", -10, 10, &v));
    assert_false(dbm__parse_int("5x", 0, 10, &v));
    assert_false(dbm__parse_int("5.0", 0, 10, &v));
    assert_false(dbm__parse_int(" 5", 0, 10, &v));
    assert_false(dbm__parse_int(NULL, 0, 10, &v));
}

static void bools_and_sizes(void **state) {
    bool on = false;
    size_t size = 0;
    (void)state;
    assert_true(dbm__parse_bool("true", &on) && on);
    assert_true(dbm__parse_bool("No", &on) && !on);
    assert_true(dbm__parse_bool("ON", &on) && on);
    assert_true(dbm__parse_bool("0", &on) && !on);
    assert_true(dbm__parse_bool("yes", &on) && on);
    assert_true(dbm__parse_bool("off", &on) && !on);
    assert_false(dbm__parse_bool("2", &on));
    assert_false(dbm__parse_bool("", &on));
    assert_false(dbm__parse_bool(NULL, &on));
    assert_true(dbm__parse_size("64k", &size) && size == 65536);
    assert_true(dbm__parse_size("10m", &size) && size == 10u << 20);
    assert_true(dbm__parse_size("1G", &size) && size == (size_t)1 << 30);
    assert_true(dbm__parse_size("2 MiB", &size) && size == 2u << 20);
    assert_true(dbm__parse_size("3KB", &size) && size == 3072);
    assert_true(dbm__parse_size("17", &size) && size == 17);
    assert_true(dbm__parse_size("17b", &size) && size == 17);
    assert_false(dbm__parse_size("", &size));
    assert_false(dbm__parse_size("k", &size));
    assert_false(dbm__parse_size("-1", &size));
    assert_false(dbm__parse_size("1t", &size));
    assert_false(dbm__parse_size("1kk", &size));
    assert_false(dbm__parse_size("1.5m", &size));
    assert_false(dbm__parse_size("99999999999999999999999", &size));
    assert_false(dbm__parse_size("18446744073709551615g", &size));
    assert_false(dbm__parse_size(NULL, &size));
}

/* ---- what is in force -------------------------------------------------------------------------------------------- */

static void the_sample(void **state) {
    const dbm_config *c;
    (void)state;
    setenv("PGPASSWORD", "p@ss:w/r%d#1", 1);
    setenv("REDIS_PASSWORD", "redis-pw", 1);
    assert_loads("[databases.default]\n"
                 "type = postgresql                     ; may be left out: the URL's scheme says it\n"
                 "url  = postgresql://app:${PGPASSWORD}@db1,db2/shop?target_session_attrs=read-write\n"
                 "pool_size = 7                         ; stay open once opened\n"
                 "max_overflow = 12                     ; opened on top under load, closed afterwards\n"
                 "pool_timeout = 31s                    ; how long a checkout waits\n"
                 "pool_recycle = 1801s                  ; replaced when older, 10 % jitter; never for SQLite\n"
                 "pool_pre_ping = always\n"
                 "pool_reset_on_return = full       ; rollback | commit | none | full\n"
                 "min_idle = 2\n"
                 "idle_timeout = 11min\n"
                 "isolation_level = READ COMMITTED      ; checked against what the backend knows; AUTOCOMMIT is accepted\n"
                 "connect_timeout = 6s\n"
                 "statement_timeout = 1.5s                 ; enforced by the server and by the client\n"
                 "socket_timeout = 2h                    ; longest silence while a reply is awaited\n"
                 "tcp_keepalive = 61s\n"
                 "tcp_user_timeout = 29\n"
                 "statement_cache = 65                  ; 0 behind transaction poolers\n"
                 "leak_warning = 9                      ; seconds after which a session that is still out is reported\n"
                 "echo = values                          ; log every statement (never the parameters, unless echo = values)\n"
                 "tls = verify-full                          ; off | prefer | require | verify-ca | verify-full\n"
                 "tls_ca = /etc/ca.pem\ntls_cert = c.pem\ntls_key = k.pem\n"
                 "init_sql = SET search_path TO shop\n"
                 "row_buffer = 1m\n"
                 "fetch_rows = 500\n"
                 "connect_args.gssencmode = disable     ; handed to the driver as they are\n"
                 "\n"
                 "[databases.cache_redis]\n"
                 "url = rediss://:${REDIS_PASSWORD}@localhost:6379/0\n"
                 "max_connections = 20\n");
    assert_int_equal(list.count, 2);
    c = &list.items[0]->config;
    assert_string_equal(c->name, "default");
    assert_string_equal(c->type, "postgresql");
    assert_string_equal(c->url, "postgresql://app:***@db1,db2/shop?target_session_attrs=read-write");
    assert_int_equal(c->pool.size, 7);
    assert_int_equal(c->pool.max_overflow, 12);
    assert_int_equal(c->pool.timeout_ms, 31000);
    assert_int_equal(c->pool.recycle_ms, 1801000);
    assert_int_equal(c->pool.pre_ping, DBM_PRE_PING_ALWAYS);
    assert_int_equal(c->pool.reset_on_return, DBM_RESET_FULL);
    assert_int_equal(c->pool.min_idle, 2);
    assert_int_equal(c->pool.idle_timeout_ms, 660000);
    assert_int_equal(c->isolation, DBM_READ_COMMITTED);
    assert_int_equal(c->connect_timeout_ms, 6000);
    assert_int_equal(c->statement_timeout_ms, 1500);
    assert_int_equal(c->socket_timeout_ms, 7200000);
    assert_int_equal(c->tcp_keepalive_ms, 61000);
    assert_int_equal(c->tcp_user_timeout_ms, 29000);
    assert_int_equal(c->statement_cache, 65);
    assert_int_equal(c->leak_warning_ms, 9000);
    assert_int_equal(c->echo, DBM_ECHO_VALUES);
    assert_int_equal(c->tls, DBM_TLS_VERIFY_FULL);
    assert_string_equal(c->tls_ca, "/etc/ca.pem");
    assert_string_equal(c->tls_cert, "c.pem");
    assert_string_equal(c->tls_key, "k.pem");
    assert_string_equal(c->init_sql, "SET search_path TO shop");
    assert_int_equal(c->row_buffer, 1 << 20);
    assert_int_equal(c->option_count, 2);
    assert_string_equal(dbm__settings_option(list.items[0], "fetch_rows"), "500");
    assert_string_equal(dbm__settings_option(list.items[0], "gssencmode"), "disable");
    assert_string_equal(dbm__settings_option(list.items[0], "connect_args.gssencmode"), "disable");
    assert_string_equal(dbm__settings_option(list.items[0], "target_session_attrs"), "read-write");
    assert_null(dbm__settings_option(list.items[0], "other"));
    assert_string_equal(list.items[0]->url.password, "p@ss:w/r%d#1");
    assert_string_equal(list.items[0]->url.hosts, "db1,db2");
    assert_string_equal(list.items[0]->origin, "app.ini:1");
    c = &list.items[1]->config;
    assert_string_equal(c->name, "cache_redis");
    assert_string_equal(c->type, "redis");
    assert_string_equal(c->url, "rediss://:***@localhost:6379/0");
    assert_int_equal(c->pool.size, 20);
    assert_int_equal(c->pool.max_overflow, 0);
    assert_string_equal(list.items[1]->url.password, "redis-pw");
    assert_string_equal(list.items[1]->origin, "app.ini:30");
}

static void assert_defaults(const dbm_config *c) {
    assert_int_equal(c->pool.size, 5);
    assert_int_equal(c->pool.max_overflow, 10);
    assert_int_equal(c->pool.timeout_ms, 30000);
    assert_int_equal(c->pool.recycle_ms, 1800000);
    assert_int_equal(c->pool.pre_ping, DBM_PRE_PING_DEFAULT);
    assert_int_equal(c->pool.reset_on_return, DBM_RESET_DEFAULT);
    assert_int_equal(c->pool.min_idle, 0);
    assert_int_equal(c->pool.idle_timeout_ms, 600000);
    assert_int_equal(c->isolation, DBM_ISOLATION_DEFAULT);
    assert_int_equal(c->connect_timeout_ms, 5000);
    assert_int_equal(c->statement_timeout_ms, 0);
    assert_int_equal(c->socket_timeout_ms, 0);
    assert_int_equal(c->tcp_keepalive_ms, 60000);
    assert_int_equal(c->tcp_user_timeout_ms, 30000);
    assert_int_equal(c->statement_cache, 64);
    assert_int_equal(c->leak_warning_ms, 0);
    assert_int_equal(c->echo, DBM_ECHO_OFF);
    assert_int_equal(c->tls, DBM_TLS_DEFAULT);
    assert_null(c->tls_ca);
    assert_null(c->tls_cert);
    assert_null(c->tls_key);
    assert_null(c->init_sql);
    assert_int_equal(c->row_buffer, 64 << 20);
    assert_null(c->options);
    assert_int_equal(c->option_count, 0);
}

static void defaults(void **state) {
    dbm_config in;
    (void)state;
    assert_loads("[databases.a]\nurl = sqlite:///app.db\n");
    assert_defaults(&list.items[0]->config);
    memset(&in, 0, sizeof in);
    in.url = "sqlite:///app.db";
    assert_int_equal(make(&in), DBM_OK);
    assert_defaults(&one->config);
    assert_string_equal(one->config.name, "default");
    assert_string_equal(one->config.type, "sqlite");
    assert_string_equal(one->config.url, "sqlite:///app.db");
    assert_string_equal(one->origin, "dbm_add_database");
    assert_string_equal(one->url.path, "app.db");
}

/* 0 is zero, -1 is what SQLAlchemy means. */
static void zero_and_minus_one(void **state) {
    const dbm_config *c;
    (void)state;
    assert_loads(with("max_overflow = 0\npool_timeout = 0\npool_recycle = 0\nidle_timeout = 0\nmin_idle = 0\nstatement_timeout "
                      "= 0\n"
                      "socket_timeout = 0\ntcp_keepalive = 0\ntcp_user_timeout = 0\nstatement_cache = 0\nleak_warning = 0"));
    c = &list.items[0]->config;
    assert_int_equal(c->pool.max_overflow, 0);
    assert_int_equal(c->pool.timeout_ms, 0);
    assert_int_equal(c->pool.recycle_ms, 1);
    assert_int_equal(c->pool.idle_timeout_ms, 1);
    assert_int_equal(c->pool.min_idle, 0);
    assert_int_equal(c->statement_timeout_ms, 0);
    assert_int_equal(c->socket_timeout_ms, 0);
    assert_int_equal(c->tcp_keepalive_ms, 0);
    assert_int_equal(c->tcp_user_timeout_ms, 0);
    assert_int_equal(c->statement_cache, 0);
    assert_int_equal(c->leak_warning_ms, 0);
    assert_loads(with("pool_recycle = -1\nidle_timeout = -1\nstatement_timeout = -1\nsocket_timeout = -1\ntcp_keepalive = -1\n"
                      "tcp_user_timeout = -1\nleak_warning = -1"));
    c = &list.items[0]->config;
    assert_int_equal(c->pool.recycle_ms, 0);
    assert_int_equal(c->pool.idle_timeout_ms, 0);
    assert_int_equal(c->statement_timeout_ms, 0);
    assert_int_equal(c->socket_timeout_ms, 0);
    assert_int_equal(c->tcp_keepalive_ms, 0);
    assert_int_equal(c->tcp_user_timeout_ms, 0);
    assert_int_equal(c->leak_warning_ms, 0);
#define UNLIMITED "a pool without limit is refused: the limit is 1,000 connections, pool_size and max_overflow together"
    assert_refuses(with("pool_size = 0"), AT3("pool_size") UNLIMITED);
    assert_refuses(with("pool_size = -1"), AT3("pool_size") UNLIMITED);
    assert_refuses(with("max_overflow = -1"), AT3("max_overflow") UNLIMITED);
    assert_refuses(with("max_connections = 0"), AT3("max_connections") UNLIMITED);
    assert_refuses(with("max_connections = -1"), AT3("max_connections") UNLIMITED);
#define TIME(what, shown)                                                                                                      \
  "expected a time such as 30s" what ", in ms, s, min, h or d, a bare number being seconds, up to 24 d, not '" shown "'"
    assert_refuses(with("pool_timeout = -1"), AT3("pool_timeout") TIME(", or 0", "-1"));
    assert_refuses(with("connect_timeout = 0"), AT3("connect_timeout") TIME(", above 0", "0"));
    assert_refuses(with("connect_timeout = -1"), AT3("connect_timeout") TIME(", above 0", "-1"));
    assert_refuses(with("idle_timeout = 5m"), AT3("idle_timeout") TIME(", or -1 for never", "5m"));
    assert_refuses(with("pool_recycle = -2"), AT3("pool_recycle") TIME(", or -1 for never", "-2"));
    assert_refuses(with("pool_recycle = 25d"), AT3("pool_recycle") TIME(", or -1 for never", "25d"));
}

static void in_code(void **state) {
    dbm_config in;
    dbm_option options[3];
    const dbm_config *c;
    (void)state;
    memset(&in, 0, sizeof in);
    in.name = "main-1_x";
    in.type = "postgresql";
    in.url = "postgresql://u:pw123@h/db";
    in.pool.size = 3;
    in.pool.max_overflow = in.pool.timeout_ms = in.pool.recycle_ms = in.pool.idle_timeout_ms = -1;
    in.statement_timeout_ms = in.socket_timeout_ms = in.tcp_keepalive_ms = in.tcp_user_timeout_ms = in.leak_warning_ms = -1;
    in.statement_cache = -1;
    in.pool.pre_ping = DBM_PRE_PING_OFF;
    in.isolation = DBM_AUTOCOMMIT;
    in.init_sql = "SELECT ${X} $$";
    in.tls_ca = "";
    in.row_buffer = 9;
    in.credentials_ud = &in;
    options[0].name = "fetch_rows";
    options[0].value = "9";
    options[1].name = "connect_args.application_name";
    options[1].value = "";
    in.options = options;
    in.option_count = 2;
    assert_int_equal(make(&in), DBM_OK);
    c = &one->config;
    assert_string_equal(c->name, "main-1_x");
    assert_string_equal(c->url, "postgresql://u:***@h/db");
    assert_int_equal(c->pool.size, 3);
    assert_int_equal(c->pool.max_overflow, 0);
    assert_int_equal(c->pool.timeout_ms, 0);
    assert_int_equal(c->pool.recycle_ms, 0);
    assert_int_equal(c->pool.idle_timeout_ms, 0);
    assert_int_equal(c->statement_timeout_ms, 0);
    assert_int_equal(c->socket_timeout_ms, 0);
    assert_int_equal(c->tcp_keepalive_ms, 0);
    assert_int_equal(c->tcp_user_timeout_ms, 0);
    assert_int_equal(c->leak_warning_ms, 0);
    assert_int_equal(c->statement_cache, 0);
    assert_int_equal(c->pool.pre_ping, DBM_PRE_PING_OFF);
    assert_int_equal(c->isolation, DBM_AUTOCOMMIT);
    assert_string_equal(c->init_sql, "SELECT ${X} $$"); /* no variables in code */
    assert_ptr_not_equal(c->init_sql, in.init_sql);
    assert_null(c->tls_ca);
    assert_int_equal(c->row_buffer, 9);
    assert_ptr_equal(c->credentials_ud, &in);
    assert_string_equal(dbm__settings_option(one, "fetch_rows"), "9");
    assert_string_equal(dbm__settings_option(one, "application_name"), "");
    assert_ptr_not_equal(c->options, options);

    /* every mistake at once, none of them with the value of a secret */
    memset(&in, 0, sizeof in);
    in.name = "x";
    in.url = "sqlite:///a.db";
    in.pool.size = -1;
    in.pool.min_idle = 1001;
    in.pool.timeout_ms = -2;
    in.connect_timeout_ms = -1;
    in.statement_cache = 5000;
    in.echo = (dbm_echo)9;
    in.tls = (dbm_tls)77;
    options[0].name = "busy_timout";
    options[1].name = "foreign_keys";
    options[1].value = NULL;
    options[2].name = "pool_size";
    options[2].value = "5";
    in.option_count = 3;
    in.options = options;
    assert_int_equal(make(&in), DBM_E_CONFIG);
    assert_null(one);
    assert_string_equal(
        said, "dbm_add_database: [x] echo: 9 is no value of dbm_echo\n"
              "dbm_add_database: [x] tls: 77 is no value of dbm_tls\n"
              "dbm_add_database: [x] busy_timout: unknown option; did you mean 'busy_timeout'?; those of this type are "
              "busy_timeout,foreign_keys,journal_mode\n"
              "dbm_add_database: [x] options: option 1 has no value\n"
              "dbm_add_database: [x] pool_size: this is a field of dbm_config (pool.size), not an option\n"
              "dbm_add_database: [x] pool.size: expected a number from 1 to 1000, or 0 for the default 5, not -1\n"
              "dbm_add_database: [x] pool.timeout_ms: expected milliseconds from 0, -1 for none, or 0 for the default, not -2\n"
              "dbm_add_database: [x] pool.min_idle: expected a number from 1 to 1000, or 0 for the default 0, not 1001\n"
              "dbm_add_database: [x] connect_timeout_ms: expected milliseconds from 1, or 0 for the default, not -1\n"
              "dbm_add_database: [x] statement_cache: expected a number from 1 to 4096, -1 for none, or 0 for the default 64, "
              "not 5000\n");

    memset(&in, 0, sizeof in);
    assert_int_equal(make(&in), DBM_E_CONFIG);
    assert_string_equal(said, "dbm_add_database: [default] url: it is missing; for example sqlite:///file.db or "
                              "postgresql://user:password@host/name\n");
    in.type = "sqlite";
    assert_int_equal(make(&in), DBM_E_CONFIG);
    assert_string_equal(said, "dbm_add_database: [default] url: it is missing; for example sqlite:///file.db, or "
                              "sqlite:///:memory:\n");
    in.type = "neo4j"; /* an adapter that needs none */
    assert_int_equal(make(&in), DBM_OK);
    assert_string_equal(one->config.url, "");
    assert_string_equal(one->url.hosts, "");
    in.name = "no/good";
    assert_int_equal(make(&in), DBM_E_CONFIG);
    assert_string_equal(said, "dbm_add_database: name: a name is of letters, digits, _ and -, up to 63 of them, not "
                              "'no/good'\n");
    in.name = "a";
    in.option_count = 1;
    assert_int_equal(make(&in), DBM_E_CONFIG);
    assert_string_equal(said, "dbm_add_database: [a] options: option_count is 1, but options is NULL\n");
    options[0].name = options[1].name = "realm";
    options[0].value = options[1].value = "x";
    in.options = options;
    in.option_count = 2;
    assert_int_equal(make(&in), DBM_E_CONFIG);
    assert_string_equal(said, "dbm_add_database: [a] realm: the option is given twice\n");
    in.option_count = 1001;
    assert_int_equal(make(&in), DBM_E_CONFIG);
    assert_string_equal(said, "dbm_add_database: [a] options: 1001 options; the limit is 1,000\n");
    assert_int_equal(make(NULL), DBM_E_CONFIG);
    assert_string_equal(said, "dbm_add_database: the configuration is NULL\n");
}

static void pool_limits(void **state) {
    dbm_config in;
    (void)state;
    assert_loads(with("pool_size = 1000")); /* the default of max_overflow gives way */
    assert_int_equal(list.items[0]->config.pool.max_overflow, 0);
    assert_loads(with("pool_size = 995"));
    assert_int_equal(list.items[0]->config.pool.max_overflow, 5);
    assert_loads(with("pool_size = 990\nmax_overflow = 10"));
    assert_loads(with("max_connections = 1000"));
    assert_refuses(with("pool_size = 991\nmax_overflow = 10"), "app.ini:4: [databases.a] max_overflow: pool_size 991 and "
                                                               "max_overflow 10 are 1001 connections together; the limit is "
                                                               "1,000");
    assert_refuses(with("pool_size = 1001"), AT3("pool_size") "expected a whole number from 1 to 1000, not '1001'");
    assert_refuses(with("max_overflow = 1001"), AT3("max_overflow") "expected a whole number from 0 to 1000, not '1001'");
    assert_refuses(with("pool_size = 99999999999999999999"), AT3("pool_size") "expected a whole number from 1 to 1000, not "
                                                                              "'99999999999999999999'");
    assert_refuses(with("min_idle = 6"), AT3("min_idle") "min_idle 6 is more than pool_size 5");
    assert_refuses(with("min_idle = 4\npool_size = 3"), AT3("min_idle") "min_idle 4 is more than pool_size 3");
    assert_refuses(with("min_idle = -1"), AT3("min_idle") "expected a whole number from 0 to 1000, not '-1'");
    assert_refuses(with("statement_cache = 4097"), AT3("statement_cache") "expected a whole number from 0 to 4096, not '4097'");
    assert_refuses(with("statement_cache = -1"), AT3("statement_cache") "expected a whole number from 0 to 4096, not '-1'");
    assert_refuses(with("max_connections = 5\npool_size = 5"),
                   AT3("max_connections") "it means pool_size = n with max_overflow = 0; leave out either it or pool_size");
    assert_refuses(with("max_overflow = 1\nmax_connections = 5"), "app.ini:4: [databases.a] max_connections: it means "
                                                                  "pool_size = n with max_overflow = 0; leave out either it or "
                                                                  "max_overflow");
    memset(&in, 0, sizeof in);
    in.url = "sqlite:///a.db";
    in.pool.size = 999;
    in.pool.max_overflow = 2;
    assert_int_equal(make(&in), DBM_E_CONFIG);
    assert_string_equal(said, "dbm_add_database: [default] pool.max_overflow: pool_size 999 and max_overflow 2 are 1001 "
                              "connections together; the limit is 1,000\n");
    in.pool.max_overflow = 0;
    assert_int_equal(make(&in), DBM_OK);
    assert_int_equal(one->config.pool.max_overflow, 1);
    in.pool.min_idle = 1000;
    assert_int_equal(make(&in), DBM_E_CONFIG);
    assert_string_equal(said, "dbm_add_database: [default] pool.min_idle: min_idle 1000 is more than pool_size 999\n");
}

static void words(void **state) {
    static const struct { const char *text; dbm_isolation level; } levels[] = {
        { "READ UNCOMMITTED", DBM_READ_UNCOMMITTED }, { "read-committed", DBM_READ_COMMITTED }, { "Read_Committed", DBM_READ_COMMITTED },
        { "REPEATABLE  READ", DBM_REPEATABLE_READ }, { "serializable", DBM_SERIALIZABLE }, { "AutoCommit", DBM_AUTOCOMMIT }
    };
    char line[128];
    size_t i;
    (void)state;
    for (i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        (void)snprintf(line, sizeof line, "isolation_level = %s", levels[i].text);
        assert_loads(with(line));
        assert_int_equal(list.items[0]->config.isolation, levels[i].level);
    }
    assert_refuses(with("isolation_level = SERIALISABLE"), AT3("isolation_level") "expected READ UNCOMMITTED, READ COMMITTED, "
                                                                                  "REPEATABLE READ, SERIALIZABLE or "
                                                                                  "AUTOCOMMIT, "
                                                                                  "not 'SERIALISABLE'; did you mean "
                                                                                  "'SERIALIZABLE'?");
    assert_refuses(with("isolation_level = READCOMMITTED"), AT3("isolation_level") "expected READ UNCOMMITTED, READ COMMITTED, "
                                                                                   "REPEATABLE READ, SERIALIZABLE or "
                                                                                   "AUTOCOMMIT, "
                                                                                   "not 'READCOMMITTED'; did you mean 'READ "
                                                                                   "COMMITTED'?");
    assert_loads(with("pool_pre_ping = false"));
    assert_int_equal(list.items[0]->config.pool.pre_ping, DBM_PRE_PING_OFF);
    assert_loads(with("pool_pre_ping = True"));
    assert_int_equal(list.items[0]->config.pool.pre_ping, DBM_PRE_PING_DEFAULT);
    assert_refuses(with("pool_pre_ping = sometimes"), AT3("pool_pre_ping") "expected true, always or false, not 'sometimes'");
    assert_loads(with("pool_reset_on_return = rollback"));
    assert_int_equal(list.items[0]->config.pool.reset_on_return, DBM_RESET_DEFAULT);
    assert_loads(with("pool_reset_on_return = commit"));
    assert_int_equal(list.items[0]->config.pool.reset_on_return, DBM_RESET_COMMIT);
    assert_loads(with("pool_reset_on_return = None"));
    assert_int_equal(list.items[0]->config.pool.reset_on_return, DBM_RESET_NONE);
    assert_refuses(with("pool_reset_on_return = rolback"), AT3("pool_reset_on_return") "expected rollback, commit, none or "
                                                                                       "full, not 'rolback'; did you mean "
                                                                                       "'rollback'?");
    assert_loads(with("echo = true"));
    assert_int_equal(list.items[0]->config.echo, DBM_ECHO_STATEMENTS);
    assert_refuses(with("echo = debug"), AT3("echo") "expected false, true or values, not 'debug'");
    assert_refuses(with("echo ="), AT3("echo") "expected false, true or values, not ''");
    assert_refuses(with("tls = verify_all"), AT3("tls") "expected off, prefer, require, verify-ca or verify-full, not "
                                                        "'verify_all'; did you mean 'verify-full'?");
    assert_loads(with("tls = VERIFY_CA"));
    assert_int_equal(list.items[0]->config.tls, DBM_TLS_VERIFY_CA);
    assert_refuses(with("row_buffer = 0"), AT3("row_buffer") "expected a size such as 64m, in k, m or g, a bare number being "
                                                             "bytes, above 0, not '0'");
    assert_refuses(with("pool_size = 5 # five"), AT3("pool_size") "expected a whole number from 1 to 1000, not '5 # five' (a "
                                                                  "comment begins with ;)");
    assert_refuses(with("pool_size = 5; five"), AT3("pool_size") "expected a whole number from 1 to 1000, not '5; five' (a "
                                                                 "blank goes before ;)");
}

static void tls_and_sslmode(void **state) {
    (void)state;
    assert_loads("[databases.a]\nurl = postgresql://h/d?sslmode=verify-ca\n");
    assert_int_equal(list.items[0]->config.tls, DBM_TLS_VERIFY_CA);
    assert_loads("[databases.a]\nurl = mysql://h/d?ssl-mode=VERIFY_IDENTITY\ntls = verify-full\n");
    assert_int_equal(list.items[0]->config.tls, DBM_TLS_VERIFY_FULL);
    assert_loads("[databases.a]\nurl = postgresql://h/d?sslmode=allow\n");
    assert_int_equal(list.items[0]->config.tls, DBM_TLS_DEFAULT);
    assert_refuses("[databases.a]\nurl = postgresql://h/d?sslmode=disable\ntls = require\n",
                   AT3("tls") "require differs from sslmode = disable in the URL; keep one of them");
    assert_refuses("[databases.a]\nurl = postgresql://h/d?sslmode=secretive\ntls = require\n",
                   AT3("tls") "require differs from sslmode in the URL; keep one of them");
    assert_refuses("[databases.a]\nurl = postgresql://h/d\ntls = off\nconnect_args.sslmode = require\n",
                   AT3("tls") "off differs from sslmode = require in connect_args; keep one of them");
}

/* ---- URLs -------------------------------------------------------------------------------------------------------- */

static void sqlite_urls(void **state) {
    static const struct { const char *url, *path, *mask; } good[] = {
        { "sqlite:///rel.db", "rel.db", "sqlite:///rel.db" },
        { "sqlite:////abs/x.db", "/abs/x.db", "sqlite:////abs/x.db" },
        { "sqlite:///:memory:", ":memory:", "sqlite:///:memory:" },
        { "sqlite://", ":memory:", "sqlite:///:memory:" },
        { "sqlite:///", ":memory:", "sqlite:///:memory:" },
        { "SQLite:///a%20b%25.db?mode=ro&x", "a b%.db", "sqlite:///a%20b%25.db?mode=ro&x" },
        { "sqlite+aiosqlite:///x.db", "x.db", "sqlite+aiosqlite:///x.db" },
        { "sqlite://?cache=shared", ":memory:", "sqlite:///:memory:?cache=shared" },
        { "sqlite:///C:/data/x@y#z.db", "C:/data/x@y#z.db", "sqlite:///C:/data/x@y%23z.db" },
        { "file:app.db?mode=ro", "app.db", "file:app.db?mode=ro" },
        { "file:///app.db", "app.db", "file:///app.db" }
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_loads(with_url(good[i].url));
        assert_string_equal(list.items[0]->config.type, "sqlite");
        assert_string_equal(list.items[0]->url.path, good[i].path);
        assert_string_equal(list.items[0]->config.url, good[i].mask);
        assert_string_equal(list.items[0]->url.hosts, "");
    }
    assert_loads(with_url("sqlite+aiosqlite:///x.db?mode=ro&vfs=%2Fu"));
    assert_string_equal(list.items[0]->url.scheme, "sqlite");
    assert_string_equal(list.items[0]->url.driver, "aiosqlite");
    assert_true(list.items[0]->async);
    assert_int_equal(list.items[0]->url.parameter_count, 2);
    assert_string_equal(dbm__settings_option(list.items[0], "mode"), "ro");
    assert_string_equal(dbm__settings_option(list.items[0], "vfs"), "/u");
    assert_loads(with_url("sqlite+pysqlite:///x.db"));
    assert_false(list.items[0]->async);
    assert_loads("[databases.a]\ntype = SqlAsync\nurl = sqlite:///x.db\n");
    assert_string_equal(list.items[0]->config.type, "sqlite");
    assert_true(list.items[0]->async);
    assert_refuses("[databases.a]\ntype = sqlasync\nurl = redis://h/0\n", AT2("type") "sqlasync is a type of SQL databases, and the URL is one of type redis: leave type out");
    assert_refuses("[databases.a]\ntype = sqlasync\n", "app.ini:1: [databases.a] url: it is missing; for example sqlite:///file.db or postgresql://user:password@host/name");
#define NO_HOST AT2("url") "an SQLite URL has no host: sqlite:///relative.db, sqlite:////absolute/path.db or sqlite:///:memory:"
    assert_refuses(with_url("sqlite://app.db"), NO_HOST);
    assert_refuses(with_url("sqlite://:memory:"), NO_HOST);
    assert_refuses(with_url("sqlite://u:hunter2@h/x.db"), NO_HOST);
    assert_refuses(with_url("sqlite:///my file.db"), AT2("url") "the URL has a blank in its path; a blank is written %20");
    assert_refuses(with_url("sqlite:///a%2.db"), AT2("url") "path: a % must be followed by two hexadecimal digits; a literal % "
                                                            "is written %25");
    assert_refuses(with_url("sqlite:///a%00.db"), AT2("url") "path: %00 is not allowed");
    assert_refuses(with_url("app.db"), AT2("url") "expected a URL such as sqlite:///file.db or "
                                                  "postgresql://user:password@host/name");
    assert_refuses("[databases.a]\nurl = app.db\ntype = sqlite\n", AT2("url") "expected sqlite:///relative.db, "
                                                                              "sqlite:////absolute/path.db or "
                                                                              "sqlite:///:memory:");
    assert_refuses(with_url("sqlite:app.db"), AT2("url") "expected a URL such as sqlite:///file.db or "
                                                         "postgresql://user:password@host/name");
}

static void network_urls(void **state) {
    static const struct { const char *url, *type, *scheme, *driver, *user, *password, *hosts, *path, *mask; } good[] = {
        { "postgresql://db1/shop", "postgresql", "postgresql", "", "", "", "db1", "shop", "postgresql://db1/shop" },
        { "postgres://app:s3cret@db1:5432,db2:5433/shop", "postgresql", "postgres", "", "app", "s3cret", "db1:5432,db2:5433", "shop",
          "postgres://app:***@db1:5432,db2:5433/shop" },
        { "postgresql+asyncpg://a%40b:p%40%3A%2F%25%23@[::1]:5432/x%20y", "postgresql", "postgresql", "asyncpg", "a@b", "p@:/%#", "[::1]:5432", "x y",
          "postgresql+asyncpg://a%40b:***@[::1]:5432/x%20y" },
        { "mysql+aiomysql://u:a@b:c@h/d", "mysql", "mysql", "aiomysql", "u", "a@b:c", "h", "d", "mysql+aiomysql://u:***@h/d" },
        { "mariadb://h", "mysql", "mariadb", "", "", "", "h", "", "mariadb://h" },
        { "postgresql:///shop?host=/tmp", "postgresql", "postgresql", "", "", "", "", "shop", "postgresql:///shop?host=/tmp" },
        { "postgresql://%2Fvar%2Frun:5433/shop", "postgresql", "postgresql", "", "", "", "%2Fvar%2Frun:5433", "shop", "postgresql://%2Fvar%2Frun:5433/shop" },
        { "redis://:pw12@h:6379/0", "redis", "redis", "", "", "pw12", "h:6379", "0", "redis://:***@h:6379/0" },
        { "unix://:pw12@/run/redis.sock?db=1", "redis", "unix", "", "", "pw12", "", "run/redis.sock", "unix://:***@/run/redis.sock?db=1" },
        { "POSTGRESQL://h?a=1", "postgresql", "postgresql", "", "", "", "h", "", "postgresql://h?a=1" },
        { "postgresql://u:a b@h/d", "postgresql", "postgresql", "", "u", "a b", "h", "d", "postgresql://u:***@h/d" },
        { "bolt://h:7687", "neo4j", "bolt", "", "", "", "h:7687", "", "bolt://h:7687" },
        { "redis://[fe80::1%25eth0]", "redis", "redis", "", "", "", "[fe80::1%25eth0]", "", "redis://[fe80::1%25eth0]" },
        { "postgresql://u:@h/d", "postgresql", "postgresql", "", "u", "", "h", "d", "postgresql://u@h/d" }
    };
    size_t i;
    const dbm_url *u;
    (void)state;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_loads(with_url(good[i].url));
        u = &list.items[0]->url;
        assert_string_equal(list.items[0]->config.type, good[i].type);
        assert_string_equal(u->scheme, good[i].scheme);
        assert_string_equal(u->driver, good[i].driver);
        assert_string_equal(u->user, good[i].user);
        assert_string_equal(u->password, good[i].password);
        assert_string_equal(u->hosts, good[i].hosts);
        assert_string_equal(u->path, good[i].path);
        assert_string_equal(list.items[0]->config.url, good[i].mask);
    }
    assert_loads(with_url("postgresql://h/"
                          "d?options=-c%20a%3Db&application_name=%E2%82%AC+x&password=hid%20den&&empty&a=1&a=2"));
    u = &list.items[0]->url;
    assert_int_equal(u->parameter_count, 6);
    assert_string_equal(u->parameters[0].name, "options");
    assert_string_equal(u->parameters[0].value, "-c a=b");
    assert_string_equal(u->parameters[1].value, "\xE2\x82\xAC+x");
    assert_string_equal(u->parameters[2].value, "hid den");
    assert_string_equal(u->parameters[3].value, "");
    assert_string_equal(dbm__settings_option(list.items[0], "a"), "2");
    assert_string_equal(list.items[0]->config.url, "postgresql://h/"
                                                   "d?options=-c%20a%3Db&application_name=%E2%82%AC%2Bx&password=***&empty&a=1&"
                                                   "a=2");
}

static void bad_urls(void **state) {
#define HOSTS(why) AT2("url") "the URL's host list is wrong: " why ". Expected host, host:port or [IPv6]:port, several with commas between; " \
    "@ : / ? # % in a password are written %40 %3A %2F %3F %23 %25, or the password comes from ${NAME}"
    static const struct { const char *url, *words; } bad[] = {
        { "postgrsql://u:hunter2@h/d", AT2("url") "the URL's scheme 'postgrsql' is unknown; did you mean 'postgresql'? "
          "(known types: sqlite, postgresql, mysql, redis, mongodb, neo4j)" },
        { "oracle+cx://u:hunter2@h/d", AT2("url") "the URL's scheme 'oracle' is unknown (known types: sqlite, postgresql, mysql, redis, mongodb, neo4j)" },
        { "hun ter2://h", AT2("url") "the URL has a blank in its scheme; a blank is written %20" },
        { "://h", AT2("url") "a URL begins with its scheme, as in postgresql://user:password@host/name or sqlite:///file.db" },
        { "hunter2!://h", AT2("url") "a URL begins with its scheme, as in postgresql://user:password@host/name or sqlite:///file.db" },
        { "postgresql://u:hunter2%zz@h/d", AT2("url") "password: a % must be followed by two hexadecimal digits; a literal % is written %25" },
        { "postgresql://u:hunter2%@h/d", AT2("url") "password: a % must be followed by two hexadecimal digits; a literal % is written %25" },
        { "postgresql://hunter%2:x@h/d", AT2("url") "user: a % must be followed by two hexadecimal digits; a literal % is written %25" },
        { "postgresql://u:hunter2%00@h/d", AT2("url") "password: %00 is not allowed" },
        { "postgresql://u:hunter2/x@h/d", AT2("url") "the URL has an @ after its host; there it is written %40, and @ : / ? # % in a password "
          "%40 %3A %2F %3F %23 %25, or the password comes from ${NAME}" },
        { "postgresql://u:hunter2?x@h/d", AT2("url") "the URL has an @ after its host; there it is written %40, and @ : / ? # % in a password "
          "%40 %3A %2F %3F %23 %25, or the password comes from ${NAME}" },
        { "postgresql://u:hunter2/d", HOSTS("a port is not a number from 1 to 65535") },
        { "postgresql://h:0/d", HOSTS("a port is not a number from 1 to 65535") },
        { "postgresql://h:65536/d", HOSTS("a port is not a number from 1 to 65535") },
        { "postgresql://h:/d", HOSTS("a port is not a number from 1 to 65535") },
        { "postgresql://h:999999/d", HOSTS("a port is not a number from 1 to 65535") },
        { "postgresql://::1/d", HOSTS("there are several colons; an IPv6 address is written in [ ]") },
        { "postgresql://[::1/d", HOSTS("a [ has no ] or nothing in it") },
        { "postgresql://[]/d", HOSTS("a [ has no ] or nothing in it") },
        { "postgresql://[::1]x/d", HOSTS("something other than a port follows a ]") },
        { "postgresql://a,,b/d", HOSTS("one is empty") },
        { "postgresql://a,/d", HOSTS("one is empty") },
        { "postgresql://a^b/d", HOSTS("it has a character that no host has") },
        { "postgresql://a%2/d", HOSTS("a % is not followed by two hexadecimal digits") },
        { "postgresql://a%00/d", HOSTS("%00 is not allowed") },
        { "postgresql://a b/d", AT2("url") "the URL has a blank in its host list; a blank is written %20" },
        { "postgresql://h/d?a=b c", AT2("url") "the URL has a blank in its parameter 1; a blank is written %20" },
        { "postgresql://h/d?a=b&password=hunter2%", AT2("url") "parameter 2: a % must be followed by two hexadecimal digits; a literal % is written %25" },
        { "postgresql://h/d?=hunter2", AT2("url") "the URL's parameter 1 has no name" },
        { "postgresql://h/\x01", AT2("url") "the URL has a control character (a tab, perhaps)" },
        { "", AT2("url") "the URL is empty" },
        { "host=h password=hunter2", AT2("url") "expected a URL such as sqlite:///file.db or postgresql://user:password@host/name" }
    };
    size_t i;
    char words[512];
    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(load(with_url(bad[i].url)), DBM_E_CONFIG);
        (void)snprintf(words, sizeof words, "%s\n", bad[i].words);
        assert_string_equal(said, words);
        assert_hides(said, "hunter2");
    }
}

static void types_and_schemes(void **state) {
    dbm_config in;
    (void)state;
    assert_loads("[databases.a]\ntype = mariadb\nurl = mysql://h/d\n");
    assert_string_equal(list.items[0]->config.type, "mysql");
    assert_loads("[databases.a]\ntype = neo4j\n");
    assert_string_equal(list.items[0]->config.url, "");
    assert_refuses("[databases.a]\ntype = sqlite\nurl = postgresql://h/d\n", AT3("url") "the URL's scheme 'postgresql' is one "
                                                                                        "of type postgresql, but type says "
                                                                                        "sqlite; leave type out, or write "
                                                                                        "sqlite://");
    assert_refuses("[databases.a]\ntype = postgre\nurl = postgresql://h/d\nfetch_rows = 1\n",
                   AT2("type") "the type 'postgre' is unknown; did you mean 'postgres'? (known types: sqlite, postgresql, "
                               "mysql, redis, mongodb, neo4j)");
    assert_refuses("[databases.a]\ntype = cassandra\n", AT2("type") "the type 'cassandra' is unknown (known types: sqlite, "
                                                                    "postgresql, mysql, redis, mongodb, neo4j)");
    assert_refuses("[databases.a]\npool_size = 3\n", "app.ini:1: [databases.a] url: it is missing; for example "
                                                     "sqlite:///file.db or postgresql://user:password@host/name");
    assert_refuses("[databases.a]\ntype = sqlite\n", "app.ini:1: [databases.a] url: it is missing; for example "
                                                     "sqlite:///file.db, or sqlite:///:memory:");
    assert_refuses("[databases.a]", "app.ini:1: [databases.a] url: it is missing; for example sqlite:///file.db or "
                                    "postgresql://user:password@host/name");
    /* known, but not compiled in */
    assert_int_equal(load("[databases.a]\nurl = mongodb+srv://h/d\n"), DBM_E_NOT_COMPILED);
    assert_string_equal(said, AT2("url") "type mongodb is not compiled into this program: define DBM_WITH_MONGODB where "
                                         "DBM_IMPLEMENTATION is defined "
                                         "(package libmongoc-dev)\n");
    assert_int_equal(problems.not_compiled, 1);
    assert_int_equal(load("[databases.a]\ntype = mongodb\nurl = mongodb://h/d\n[databases.b]\nurl = mongodb://h/d\n"),
                     DBM_E_NOT_COMPILED);
    assert_has(said, AT2("type") "type mongodb is not");
    assert_has(said, "app.ini:5: [databases.b] url: type mongodb is not");
    assert_int_equal(load("[databases.a]\nurl = mongodb://h/d\npool_size = x\n"), DBM_E_CONFIG);
    memset(&in, 0, sizeof in);
    in.url = "mongodb://h/d";
    assert_int_equal(make(&in), DBM_E_NOT_COMPILED);
    assert_string_equal(said, "dbm_add_database: [default] url: type mongodb is not compiled into this program: define "
                              "DBM_WITH_MONGODB where "
                              "DBM_IMPLEMENTATION is defined (package libmongoc-dev)\n");
    /* a driver's own DSN: needs the type */
    assert_loads("[databases.a]\ntype = postgresql\nurl = host=h password='hun ter2' user=u\n");
    assert_string_equal(list.items[0]->url.path, "host=h password='hun ter2' user=u");
    assert_string_equal(list.items[0]->url.scheme, "");
    assert_string_equal(list.items[0]->config.url, "host=h password='***' user=u");
    setenv("DSN_PW", "a b,c", 1);
    assert_loads("[databases.a]\ntype = postgresql\nurl = host=h password=${DSN_PW} user=u\n");
    assert_string_equal(list.items[0]->url.path, "host=h password=a b,c user=u");
    assert_string_equal(list.items[0]->config.url, "host=h password=*** user=u");
    assert_loads("[databases.a]\ntype = mysql\nurl = root:hunter2@tcp(h)/d\n");
    assert_string_equal(list.items[0]->config.url, "root:***@tcp(h)/d");
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static void comments_and_quotes(void **state) {
    (void)state;
    assert_loads("; first\n# second\n  ; third\n[databases.a] ; the main one\nurl = postgresql://app:a ;b@db/shop\n# "
                 "x\npool_size : 4\t;four\n");
    assert_string_equal(list.items[0]->url.password, "a ;b");
    assert_int_equal(list.items[0]->config.pool.size, 4);
    assert_loads("[databases.a]\nurl = sqlite:///a.db ; it is here\n");
    assert_string_equal(list.items[0]->url.path, "a.db");
    assert_loads("[databases.a]\nurl = sqlite:///a.db ;\n");
    assert_string_equal(list.items[0]->url.path, "a.db");
    assert_loads("[databases.a]\nurl = \"postgresql://u:a ; \"\"b@h/d\" ; comment\n");
    assert_string_equal(list.items[0]->url.password, "a ; \"b");
    assert_loads("[databases.a]\nurl = sqlite:///a.db\ninit_sql = PRAGMA x = 1 ; PRAGMA y = '#2' ;\n");
    assert_string_equal(list.items[0]->config.init_sql, "PRAGMA x = 1 ; PRAGMA y = '#2' ;");
    assert_loads("[databases.a]\nurl = sqlite:///a.db\nconnect_args.x = a ;b\nbusy_timeout = 5 ; s\ntls_ca = /x ;y\n");
    assert_string_equal(dbm__settings_option(list.items[0], "x"), "a ;b");
    assert_string_equal(dbm__settings_option(list.items[0], "busy_timeout"), "5");
    assert_string_equal(list.items[0]->config.tls_ca, "/x");
    assert_loads("[databases.a]\nurl = sqlite:///a.db\ntls_ca = ; none\ninit_sql =\nbusy_timeout =\n");
    assert_null(list.items[0]->config.tls_ca);
    assert_null(list.items[0]->config.init_sql);
    assert_string_equal(dbm__settings_option(list.items[0], "busy_timeout"), "");
    assert_refuses("[databases.a]\nurl = \"sqlite:///hunter2.db\n", AT2("url") "the value begins with \" but has no \" at its "
                                                                               "end; a \" inside is written \"\"");
    assert_refuses("[databases.a]\nurl = \"sqlite:///a.db\" hunter2\n", AT2("url") "there is a text after the closing \"; a \" "
                                                                                   "inside is written \"\"");
}

static void long_lines(void **state) {
    static char text[60000], password[10241], big[10400];
    size_t i;
    (void)state;
    for (i = 0; i < 10240; i++) password[i] = (char)('a' + i % 26);
    password[10240] = 0;
    (void)snprintf(big, sizeof big, "postgresql://u:%s ;x@h/d", password);
    assert_loads(with_url(big));
    assert_int_equal(strlen(list.items[0]->url.password), 10243);
    assert_memory_equal(list.items[0]->url.password, password, 10240);
    assert_string_equal(list.items[0]->config.url, "postgresql://u:***@h/d");
    (void)snprintf(text, sizeof text, "[other]\n%s = 1\n%s\n; %s\n[databases.a]\nurl = sqlite:///a.db\n   ; %s\npool_sze = 3\n",
                   password, password, password, password);
    assert_refuses(text, "app.ini:8: [databases.a] pool_sze: unknown key; did you mean 'pool_size'?; those of this type are "
                         "busy_timeout,foreign_keys,journal_mode");
    (void)snprintf(text, sizeof text, "[databases.a]\nurl = sqlite:///a.db\n%s = 1\n", password);
    assert_refuses(text, "app.ini:3: [databases.a] the text before the = is too long for a key");
    (void)snprintf(text, sizeof text, "[databases.%s]\nurl = sqlite:///a.db\n", password);
    assert_int_equal(load(text), DBM_E_CONFIG);
    assert_has(said, "app.ini:1: section [databases.abc");
    assert_has(said, "...]: a database's name is of letters, digits, _ and -, up to 63 of them\n");
    (void)snprintf(text, sizeof text, "[databases.a]\nurl = sqlite:///a.db\ninit_sql = %s\n %s\n\t%s\n", password, password,
                   password);
    assert_loads(text);
    assert_int_equal(strlen(list.items[0]->config.init_sql), 3 * 10240 + 2);
}

static void bytes(void **state) {
    static const char nul[] = "[databases.a]\nurl = sqlite:///a.db\ninit_sql = a\0b\n";
    (void)state;
    assert_loads("\xEF\xBB\xBF[databases.a]\r\nurl = sqlite:///a.db\r\npool_size = 4");
    assert_int_equal(list.items[0]->config.pool.size, 4);
    assert_string_equal(list.items[0]->url.path, "a.db");
    assert_loads("[databases.a]\rurl = sqlite:///a.db\rpool_size = 4\r");
    assert_int_equal(list.items[0]->config.pool.size, 4);
    assert_int_equal(load("\r\n\r\n[databases.a]\r\nurl = sqlite:///a.db\r\npool_size = x\r\n"), DBM_E_CONFIG);
    assert_string_equal(said, "app.ini:5: [databases.a] pool_size: expected a whole number from 1 to 1000, not 'x'\n");
    assert_int_equal(load_n(nul, sizeof nul - 1), DBM_E_CONFIG);
    assert_string_equal(said, "app.ini:3: [databases.a] a NUL byte; the file must be plain text (UTF-8, not UTF-16)\n");
    assert_int_equal(load_n("\0[\0\n\0\n", 6), DBM_E_CONFIG); /* said once */
    assert_int_equal(problems.count, 1);
    assert_loads("");
    assert_int_equal(list.count, 0);
    assert_int_equal(load_n("", 0), DBM_OK);
    assert_loads("[databases.a]\nurl = sqlite:///\xC3\xA9.db\n");
    assert_string_equal(list.items[0]->url.path, "\xC3\xA9.db");
}

static void continuation(void **state) {
    (void)state;
    assert_loads("[databases.a]\nurl = sqlite:///a.db\ninit_sql = CREATE TEMP TABLE t(\n    a int,   \n\n\tb = c)\npool_size = "
                 "3\n");
    assert_string_equal(list.items[0]->config.init_sql, "CREATE TEMP TABLE t( a int, b = c)");
    assert_int_equal(list.items[0]->config.pool.size, 3);
    assert_loads("[databases.a]\nurl = sqlite:///a.db\ninit_sql = \"a\n  \"\"b\"\"\n  c\" ; d\n");
    assert_string_equal(list.items[0]->config.init_sql, "a \"b\" c");
    assert_loads("  [databases.a]\n  url = sqlite:///a.db\n"); /* nothing above that it could continue */
    assert_refuses("[databases.a]\nurl = sqlite:///a.db\n  pool_size = 5\n",
                   AT3("pool_size") "an indented line continues the value of 'url' above; a key begins in the first column");
    assert_refuses("[databases.a]\nurl = sqlite:///a.db\n  [databases.b]\nmin_idle = 1\n", "app.ini:3: [databases.a] an "
                                                                                           "indented line continues the value "
                                                                                           "of 'url' above; a section begins "
                                                                                           "in the first column");
    assert_refuses("[databases.a]\nurl = postgresql://u:pw@h\n  /d\n", AT2("url") "the URL has a blank in its host list; a "
                                                                                  "blank is written %20");
    assert_loads("[other]\nurl = x\n  pool_size = 5\n  [databases]\n");
}

static void sections(void **state) {
    (void)state;
    assert_loads("top = 1\n[server]\nurl = x\nurl = x\njunk\n[databases.a-B_9]\nurl = sqlite://\n[logging]\npool_sze = "
                 "1\n[data.x]\n[database]\n[db.x]\n[datastore.x]\n"
                 "[broken\n[ databases.b ]\nurl = sqlite://\n");
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[0]->config.name, "a-B_9");
    assert_string_equal(list.items[1]->config.name, "b");
#define WRITTEN(title) "app.ini:1: section [" title "]: a database's section is written [databases.NAME]"
    assert_refuses("[databases]\nurl = x\n", WRITTEN("databases"));
    assert_refuses("[database.x]\nurl = x\n", WRITTEN("database.x"));
    assert_refuses("[databses.x]\nurl = x\n", WRITTEN("databses.x"));
    assert_refuses("[Databases.x]\nurl = x\n", WRITTEN("Databases.x"));
    assert_refuses("[databases:x]\n", WRITTEN("databases:x"));
    assert_refuses("[databases x]\n", WRITTEN("databases x"));
#define NAMED(title) "app.ini:1: section [" title "]: a database's name is of letters, digits, _ and -, up to 63 of them"
    assert_refuses("[databases.a.b]\n", NAMED("databases.a.b"));
    assert_refuses("[databases. a]\n", NAMED("databases. a"));
    assert_refuses("[databases.a$]\n", NAMED("databases.a$"));
    assert_refuses("[databases.]\n", "app.ini:1: section [databases.]: a database's section is written [databases.NAME]");
    assert_refuses("[databases.a\nurl = x\n", "app.ini:1: a section's [ has no ]; expected [databases.NAME]");
    assert_refuses("[databases.a] url = sqlite://\nurl = sqlite://\n", "app.ini:1: [databases.a] there is a text after the ]; "
                                                                       "a key goes on a line of its own");
    assert_refuses("[databases.a]\nurl = sqlite://\n[databases.b]\nurl = sqlite://\n[databases.a]\npool_size = 3\n",
                   "app.ini:5: [databases.a] the section is there already, at line 1");
    assert_refuses("url = sqlite://\n[x]\nurl = 1\n", "app.ini:1: url: the key is above the first section; expected "
                                                      "[databases.NAME] before it");
    assert_refuses("[databases.a]\nurl = sqlite://\nhunter2\n", "app.ini:3: [databases.a] expected key = value, a section or a "
                                                                "comment");
    assert_refuses("[databases.a]\nhunter2\nurl = sqlite://\n", "app.ini:2: [databases.a] expected key = value, a section or a "
                                                                "comment");
    assert_refuses("[databases.a]\nurl = sqlite://\npool ;x = 5\n", "app.ini:3: [databases.a] expected key = value, a section "
                                                                    "or a comment");
    assert_refuses("[databases.a]\nurl = sqlite://\n= hunter2\n", "app.ini:3: [databases.a] there is no key before the =");
}

static void keys(void **state) {
    (void)state;
    assert_refuses(with("pool_sise = hunter2"), AT3("pool_sise") "unknown key; did you mean 'pool_size'?; those of this type "
                                                                 "are fetch_rows");
    assert_refuses(with("Pool_Size = 5"), AT3("Pool_Size") "unknown key; did you mean 'pool_size'?; those of this type are "
                                                           "fetch_rows");
    assert_refuses(with("fetch_row = 5"), AT3("fetch_row") "unknown key; did you mean 'fetch_rows'?; those of this type are "
                                                           "fetch_rows");
    assert_refuses(with("passwrd = hunter2"), AT3("passwrd") "unknown key; those of this type are fetch_rows");
    assert_refuses(with("busy_timeout = 5"), AT3("busy_timeout") "this is a key of type sqlite, and this database is of type "
                                                                 "postgresql");
    assert_refuses(with("connect_arg.x = 5"), AT3("connect_arg.x") "unknown key; what the driver takes is written "
                                                                   "connect_args.NAME; those of this type are fetch_rows");
    assert_refuses(with("connect_args = 5"), AT3("connect_args") "unknown key; what the driver takes is written "
                                                                 "connect_args.NAME; those of this type are fetch_rows");
    assert_refuses(with("connect_args. = 5"), AT3("connect_args.") "unknown key; what the driver takes is written "
                                                                   "connect_args.NAME; those of this type are fetch_rows");
    assert_refuses(with("pool_size = 5\npool_size = 6"), "app.ini:4: [databases.a] pool_size: the key is there already, at "
                                                         "line 3");
    assert_refuses(with("url = sqlite://"), AT3("url") "the key is there already, at line 2");
}

/* One load finds them all, in order, each with its line; what comes after does not hide. */
static void all_at_once(void **state) {
    (void)state;
    setenv("DBM__DATABASES__C__MIN_IDLE", "lots", 1);
    assert_int_equal(load("pool_size = 3\r\n"
                          "[database.x]\r\n"
                          "[databases.a]\r\n"
                          "url = postgresql://u:hunter2@h:port/d\r\n"
                          "pool_sise = 3\r\n"
                          "\r\n"
                          "pool_timeout = 5 parsecs\r\n"
                          "stray\r\n"
                          "[databases.a]\r\n"
                          "echo = loud\r\n"
                          "[databases.b]\r\n"
                          "type = sqlit\r\n"
                          "tls = maybe\r\n"
                          "tls = off\r\n"
                          "init_sql = ${NOT_SET_ANYWHERE}\r\n"
                          "[databases.c]\r\n"
                          "url = mongodb://h\r\n"
                          "min_idle = 1\r\n"), DBM_E_CONFIG);
    unsetenv("DBM__DATABASES__C__MIN_IDLE");
    assert_string_equal(said, "app.ini:1: pool_size: the key is above the first section; expected [databases.NAME] before it\n"
                              "app.ini:2: section [database.x]: a database's section is written [databases.NAME]\n"
                              "app.ini:8: [databases.a] expected key = value, a section or a comment\n"
                              "app.ini:9: [databases.a] the section is there already, at line 3\n"
                              "app.ini:14: [databases.b] tls: the key is there already, at line 13\n"
                              "app.ini:4: [databases.a] url: the URL's host list is wrong: a port is not a number from 1 to "
                              "65535. Expected host, host:port or "
                              "[IPv6]:port, several with commas between; @ : / ? # % in a password are written %40 %3A %2F %3F "
                              "%23 %25, or the password comes from ${NAME}\n"
                              "app.ini:5: [databases.a] pool_sise: unknown key; did you mean 'pool_size'?; those of this type "
                              "are fetch_rows\n"
                              "app.ini:7: [databases.a] pool_timeout: expected a time such as 30s, or 0, in ms, s, min, h or "
                              "d, a bare number being seconds, up to 24 d, "
                              "not '5 parsecs'\n"
                              "app.ini:10: [databases.a] echo: expected false, true or values, not 'loud'\n"
                              "app.ini:12: [databases.b] type: the type 'sqlit' is unknown; did you mean 'sqlite'? (known "
                              "types: sqlite, postgresql, mysql, redis, mongodb, neo4j)\n"
                              "app.ini:13: [databases.b] tls: expected off, prefer, require, verify-ca or verify-full, not "
                              "'maybe'\n"
                              "app.ini:15: [databases.b] init_sql: the environment variable NOT_SET_ANYWHERE is not set; set "
                              "it, or write ${NOT_SET_ANYWHERE:-default}\n"
                              "environment DBM__DATABASES__C__MIN_IDLE: [databases.c] min_idle: expected a whole number from 0 "
                              "to 1000, not 'lots'\n"
                              "app.ini:17: [databases.c] url: type mongodb is not compiled into this program: define "
                              "DBM_WITH_MONGODB where DBM_IMPLEMENTATION is defined "
                              "(package libmongoc-dev)\n");
    assert_int_equal(problems.count, 14);
    assert_int_equal(problems.not_compiled, 1);
    assert_int_equal(test_log_count(&logged, DBM_EVENT_CONFIG_ERROR), 0);
}

/* What does not fit into the text goes to the log. */
static void too_many(void **state) {
    static char text[20000];
    char block[300];
    size_t n;
    int i;
    (void)state;
    n = (size_t)snprintf(text, sizeof text, "[databases.a]\nurl = sqlite://\n");
    for (i = 0; i < 300; i++) n += (size_t)snprintf(text + n, sizeof text - n, "key_%d = 1\n", i);
    dbm__problems_init(&problems, &host, block, sizeof block);
    assert_int_equal(dbm__config_load(&host, "app.ini", text, n, types, TYPES, true, &list, &problems), DBM_E_CONFIG);
    assert_int_equal(problems.count, 300);
    assert_int_equal(problems.shown, 2);
    assert_has(block, "app.ini:3: [databases.a] key_0: unknown key");
    assert_int_equal(block[strlen(block) - 1], '\n');
    assert_int_equal(test_log_count(&logged, DBM_EVENT_CONFIG_ERROR), 198);
    assert_has(test_log_text(&logged), "a: app.ini:5: [databases.a] key_2: unknown key");
    dbm__problems_init(&problems, &host, block, 40); /* not even one: it is cut, rather than nothing said */
    assert_int_equal(dbm__config_load(&host, "app.ini", text, n, types, TYPES, true, &list, &problems), DBM_E_CONFIG);
    assert_string_equal(block, "app.ini:3: [databases.a] key_0: unkn...");
    assert_int_equal(problems.shown, 1);
    dbm__problems_init(&problems, &host, said, sizeof said);
    n = 0;
    for (i = 0; i < 1002; i++) n += (size_t)snprintf(text + n, sizeof text - n, "[databases.d%d]\n", i);
    assert_int_equal(dbm__config_load(&host, "app.ini", text, n, types, TYPES, false, &list, &problems), DBM_E_CONFIG);
    assert_has(said, "app.ini:1001: more than 1,000 databases; this and later sections are not read\n");
    assert_int_equal(problems.count, 1001);
    n = (size_t)snprintf(text, sizeof text, "[databases.a]\nurl = sqlite://\n");
    for (i = 0; i < 510; i++) n += (size_t)snprintf(text + n, sizeof text - n, "connect_args.k%d = 1\n", i);
    assert_refuses(text, "app.ini:502: [databases.a] more than 500 keys; this and later ones are not read");
}

/* ---- variables and overrides ------------------------------------------------------------------------------------- */

static void variables(void **state) {
    (void)state;
    setenv("V_HOST", "db9:5555", 1);
    setenv("V_PW", "p@ss:w/r%41#&?=${X}$$ ;\"", 1);
    setenv("V_SIZE", "9", 1);
    setenv("V_EMPTY", "", 1);
    setenv("V_URL", "postgresql://u:p%40w@h/d", 1);
    unsetenv("V_NONE");
    assert_loads("[databases.a]\nurl = "
                 "postgresql://${V_USER:-me@x}:${V_PW}@${V_HOST}/${V_DB:-my/db}?application_name=${V_PW}&x=%41\n"
                 "pool_size = ${V_SIZE}\nmax_overflow = ${V_NONE:-3}\nstatement_cache = ${V_EMPTY:-7}\ninit_sql = ${V_EMPTY}\n"
                 "connect_args.a = $$ $1 $x ${V_SIZE}${V_SIZE} a$${V_SIZE}\n");
    assert_string_equal(list.items[0]->url.user, "me@x");
    assert_string_equal(list.items[0]->url.password, "p@ss:w/r%41#&?=${X}$$ ;\"");
    assert_string_equal(list.items[0]->url.hosts, "db9:5555");
    assert_string_equal(list.items[0]->url.path, "my/db");
    assert_string_equal(dbm__settings_option(list.items[0], "application_name"), "p@ss:w/r%41#&?=${X}$$ ;\"");
    assert_string_equal(dbm__settings_option(list.items[0], "x"), "A");
    assert_int_equal(list.items[0]->config.pool.size, 9);
    assert_int_equal(list.items[0]->config.pool.max_overflow, 3);
    assert_int_equal(list.items[0]->config.statement_cache, 7);
    assert_null(list.items[0]->config.init_sql);
    assert_string_equal(dbm__settings_option(list.items[0], "a"), "$ $1 $x 99 a${V_SIZE}");
    assert_loads(with_url("${V_URL}")); /* all of it: then it is a URL like any other */
    assert_string_equal(list.items[0]->url.password, "p@w");
    assert_string_equal(list.items[0]->config.url, "postgresql://u:***@h/d");
    assert_loads(with_url("${V_NONE:-sqlite:///dev.db}"));
    assert_string_equal(list.items[0]->url.path, "dev.db");
    setenv("V_HOST", "fe80%1", 1);
    assert_loads(with_url("redis://${V_HOST}"));
    assert_string_equal(list.items[0]->url.hosts, "fe80%251");
    setenv("V_TYPE", "sqlite", 1);
    assert_loads("[databases.a]\ntype = ${V_TYPE}\nurl = sqlite://\n");
#define UNSET "the environment variable V_NONE is not set; set it, or write ${V_NONE:-default}"
    assert_refuses(with("pool_size = ${V_NONE}"), AT3("pool_size") UNSET);
    assert_refuses(with("init_sql = a ${V_NONE} b"), AT3("init_sql") UNSET);
    assert_refuses(with_url("postgresql://u:${V_NONE}@h/d"), AT2("url") "password: " UNSET);
    assert_refuses(with_url("${V_NONE}"), AT2("url") UNSET);
    assert_refuses("[databases.a]\ntype = ${V_NONE}\nurl = sqlite://\n", AT2("type") UNSET);
    assert_refuses(with("pool_size = ${V_SIZE"), AT3("pool_size") "${ has no closing }; a literal $ before { is written $$");
#define NAME "expected ${NAME} or ${NAME:-default}, NAME of letters, digits and _; a literal $ before { is written $$"
    assert_refuses(with("pool_size = ${}"), AT3("pool_size") NAME);
    assert_refuses(with("pool_size = ${1X}"), AT3("pool_size") NAME);
    assert_refuses(with("pool_size = ${V SIZE}"), AT3("pool_size") NAME);
    assert_refuses(with("pool_size = ${V_SIZE:3}"), AT3("pool_size") NAME);
    /* what a variable holds is never shown, nor a URL at the wrong key */
    assert_refuses(with("echo = mysql://u:hunter2@h"), AT3("echo") "expected false, true or values, not 'mysql://...'");
    assert_refuses(with("echo = password=hunter2"), AT3("echo") "expected false, true or values, not 'password=***'");
    assert_refuses(with_url("${V_PW}://h"), AT2("url") "a URL begins with its scheme, as in "
                                                       "postgresql://user:password@host/name or sqlite:///file.db");
    assert_refuses(with_url("x${V_SIZE}://h"), AT2("url") "the URL's scheme, made of a variable, is unknown (known types: "
                                                          "sqlite, postgresql, mysql, redis, mongodb, neo4j)");
    assert_refuses(with("pool_size = ${V_PW}"), AT3("pool_size") "expected a whole number from 1 to 1000, not what '${V_PW}' "
                                                                 "holds");
    assert_refuses(with("echo = ${V_PW}"), AT3("echo") "expected false, true or values, not what '${V_PW}' holds");
    assert_refuses("[databases.a]\ntype = ${V_PW}\n", AT2("type") "what the variable holds is not a known type (known types: "
                                                                  "sqlite, postgresql, mysql, redis, mongodb, neo4j)");
    assert_refuses(with_url("postgresql://u:x@${V_PW}/d"), HOSTS("it has a blank or control character"));
}

static void overrides(void **state) {
    (void)state;
    setenv("DBM__DATABASES__MY_DB__URL", "sqlite:///${NOT}.db", 1);
    setenv("DBM__DATABASES__MY_DB__POOL_SIZE", "8", 1);
    setenv("DBM__DATABASES__MY_DB__BUSY_TIMEOUT", "77", 1);
    setenv("DBM__DATABASES__MY_DB__MAX_OVERFLOW", "", 1);
    setenv("DBM__DATABASES__MY_DB__CONNECT_ARGS__GSS_MODE", "off", 1);
    setenv("DBM__DATABASES__MY_DB__CONNECT_ARGS__OTHER", "off", 1);
    assert_loads("[databases.my-db]\nurl = wrong but replaced\npool_size = ${NOT_SET}\nmax_overflow = 2\nconnect_args.gss-mode "
                 "= on\n");
    assert_string_equal(list.items[0]->url.path, "${NOT}.db"); /* taken as it is */
    assert_int_equal(list.items[0]->config.pool.size, 8);
    assert_int_equal(list.items[0]->config.pool.max_overflow, 2);
    assert_string_equal(dbm__settings_option(list.items[0], "busy_timeout"), "77");
    assert_string_equal(dbm__settings_option(list.items[0], "gss-mode"), "off");
    assert_int_equal(list.items[0]->config.option_count, 2);
    assert_loads("[databases.my-db]\n"); /* added */
    assert_loads("[databases.other]\nurl = sqlite://\n");
    assert_int_equal(list.items[0]->config.pool.size, 5);
    setenv("DBM__DATABASES__MY_DB__URL", "postgresql://u:hunter2@h:x/d", 1);
    assert_int_equal(load("[databases.my-db]\n"), DBM_E_CONFIG);
    assert_has(said, "environment DBM__DATABASES__MY_DB__URL: [databases.my-db] url: the URL's host list is wrong: a port is "
                     "not a number");
    assert_has(said, "environment DBM__DATABASES__MY_DB__BUSY_TIMEOUT: [databases.my-db] busy_timeout: this is a key of type "
                     "sqlite, and this database is of type postgresql\n");
    assert_hides(said, "hunter2");
    dbm__problems_init(&problems, &host, said, sizeof said);
    assert_int_equal(dbm__config_load(&host, "app.ini", "[databases.my-db]\nurl = sqlite://\n", SIZE_MAX, types, TYPES, false,
                                      &list, &problems),
                     DBM_OK);
    assert_int_equal(list.items[0]->config.pool.size, 5);
    unsetenv("DBM__DATABASES__MY_DB__URL");
    unsetenv("DBM__DATABASES__MY_DB__POOL_SIZE");
    unsetenv("DBM__DATABASES__MY_DB__BUSY_TIMEOUT");
    unsetenv("DBM__DATABASES__MY_DB__MAX_OVERFLOW");
    unsetenv("DBM__DATABASES__MY_DB__CONNECT_ARGS__GSS_MODE");
    unsetenv("DBM__DATABASES__MY_DB__CONNECT_ARGS__OTHER");
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void files(void **state) {
    static char text[30000];
    test_dir dir;
    const char *path;
    size_t n;
    (void)state;
    test_dir_make(&dir);
    n = (size_t)snprintf(text, sizeof text, "[databases.a]\nurl = sqlite:///a.db\n");
    while (n < 25000) n += (size_t)snprintf(text + n, sizeof text - n, "; a comment that fills the file\n");
    (void)snprintf(text + n, sizeof text - n, "pool_size = 3\n");
    path = test_dir_write(&dir, "app.ini", text);
    dbm__problems_init(&problems, &host, said, sizeof said);
    assert_int_equal(dbm__config_load(&host, path, NULL, 0, types, TYPES, true, &list, &problems), DBM_OK);
    assert_int_equal(list.items[0]->config.pool.size, 3);
    forget();
    path = test_dir_file(&dir, "none.ini");
    dbm__problems_init(&problems, &host, said, sizeof said);
    assert_int_equal(dbm__config_load(&host, path, NULL, 0, types, TYPES, true, &list, &problems), DBM_E_CONFIG);
    assert_has(said, "/none.ini: the file cannot be opened; is the path right, and may this program read it?\n");
    dbm__problems_init(&problems, &host, said, sizeof said);
    assert_int_equal(dbm__config_load(&host, dir.path, NULL, 0, types, TYPES, true, &list, &problems), DBM_E_CONFIG);
    assert_has(said, ": the file cannot be "); /* a directory */
    dbm__problems_init(&problems, &host, said, sizeof said);
    assert_int_equal(dbm__config_load(&host, NULL, NULL, 0, types, TYPES, true, &list, &problems), DBM_E_CONFIG);
    assert_string_equal(said, "the path of the configuration file is missing\n");
    test_dir_remove(&dir);
}

/* ---- secrets ----------------------------------------------------------------------------------------------------- */

static const char *redacted(const dbm__settings *s, const char *text) {
    size_t size = strlen(text);
    (void)snprintf(built, sizeof built, "%s", text);
    dbm__redact(s, built);
    assert_true(strlen(built) <= size);
    return built;
}

static void secrets(void **state) {
    const dbm__settings *s;
    char secret[32];
    int i;
    (void)state;
    assert_loads("[databases.a]\nurl = neo4j://app:s%40cr%2Ft'%25x@h/d?token=abc%20def&realmpass=1\nauth_token = "
                 "tok;en1\nconnect_args.sslpassword = key pass\n"
                 "connect_args.passfile = /home/pgpass\n");
    s = list.items[0];
    assert_string_equal(s->url.password, "s@cr/t'%x");
    assert_string_equal(s->config.url, "neo4j://app:***@h/d?token=***&realmpass=1");
    assert_string_equal(redacted(s, "bad s@cr/t'%x."), "bad ***.");
    assert_string_equal(redacted(s, "s%40cr%2Ft'%25x and s%40cr%2ft%27%25x and s@cr/t''%x and s@cr/t\\'%x"), "*** and *** and "
                                                                                                             "*** and ***");
    assert_string_equal(redacted(s, "s@cr/t'%"), "s@cr/t'%");
    assert_string_equal(redacted(s, "abc def abc%20def abc+def"), "*** *** ***");
    assert_string_equal(redacted(s, "tok;en1tok;en1"), "******");
    assert_string_equal(redacted(s, "(key pass)"), "(***)");
    assert_string_equal(redacted(s, "/home/pgpass"), "/home/pgpass");
    assert_string_equal(redacted(s, ""), "");
    /* by place, for whatever they are */
    assert_string_equal(redacted(NULL, "cannot reach postgresql://bob:other@h:1/x, then redis://:xy@z, http://h:80/a@b"),
                        "cannot reach postgresql://bob:***@h:1/x, then redis://:**@z, http://h:80/a@b");
    assert_string_equal(redacted(NULL, "host=h password=other user=u PWD='a b\\' c' sslpassword=\"x y\"; a=1"),
                        "host=h password=*** user=u PWD='***' sslpassword=\"***\"; a=1");
    assert_string_equal(redacted(NULL, "?authToken=abcd&x=1&password=&y"), "?authToken=***&x=1&password=&y");
    assert_string_equal(redacted(NULL, "password authentication failed: check it; bypass=yes password_encryption=md5"),
                        "password authentication failed: check it; bypass=yes password_encryption=md5");
    dbm__redact(NULL, NULL);
    /* a short one is blanked where it stands as one */
    assert_loads(with_url("postgresql://u:ab@h/d"));
    assert_string_equal(redacted(list.items[0], "table ab: cabbage; u:ab@h password=ab ://u:ab@h"), "table ab: cabbage; u:**@h "
                                                                                                    "password=** ://u:**@h");
    /* those that came later, the newest 16 */
    for (i = 0; i < 40; i++) {
        (void)snprintf(secret, sizeof secret, "late-%02d", i % 20);
        assert_int_equal(dbm__settings_add_secret(&host, list.items[0], secret), DBM_OK);
    }
    assert_int_equal(dbm__settings_add_secret(&host, list.items[0], NULL), DBM_OK);
    assert_int_equal(dbm__settings_add_secret(&host, list.items[0], ""), DBM_OK);
    assert_int_equal(dbm__settings_add_secret(&host, list.items[0], "late-19"), DBM_OK);
    assert_string_equal(redacted(list.items[0], "late-19 late-04 late-03"), "*** *** late-03");
    test_heap_fail(&heap, 1);
    assert_int_equal(dbm__settings_add_secret(&host, list.items[0], "another"), DBM_E_NOMEM);
    test_heap_fail(&heap, 0);
}

/* Every byte that is freed was wiped: nothing of a secret stays in memory that was given back. */
static bool leaked;
static void watched_release(void *ud, void *p) {
    test_block *block;
    size_t i, n;
    if (p) {
        block = test_heap_block(p);
        n = block->is.size;
        for (i = 0; i + 7 <= n; i++) leaked = leaked || memcmp((char *)p + i, "hunter2", 7) == 0;
    }
    test_heap_release(ud, p);
}

static void wiped(void **state) {
    test_dir dir;
    const char *path;
    char text[20000];
    size_t n;
    (void)state;
    setenv("W_PW", "hunter2", 1);
    leaked = false;
    host.allocator.release = watched_release;
    assert_loads("[databases.a]\nurl = postgresql://u:hunter2@h/d?password=hunter2\ninit_sql = \"hunter2\n hunter2 "
                 "${W_PW}\"\nconnect_args.password = ${W_PW}hunter2\n");
    assert_int_equal(dbm__settings_add_secret(&host, list.items[0], "xhunter2x"), DBM_OK);
    assert_int_equal(dbm__settings_add_secret(&host, list.items[0], "xhunter2x"), DBM_OK);
    forget();
    assert_false(leaked);
    assert_int_equal(load("[databases.a]\nurl = postgresql://u:${W_PW}@h:x/d?password=hunter2\npool_size = ${W_PW}\necho = "
                          "${W_PW}\n"),
                     DBM_E_CONFIG);
    assert_false(leaked);
    setenv("DBM__DATABASES__A__URL", "mysql://u:hunter2@h", 1);
    assert_loads("[databases.a]\n");
    forget();
    unsetenv("DBM__DATABASES__A__URL");
    assert_false(leaked);
    test_dir_make(&dir);
    n = (size_t)snprintf(text, sizeof text, "[databases.a]\nurl = postgresql://u:hunter2@h/d\n");
    while (n < 18000) n += (size_t)snprintf(text + n, sizeof text - n, "# hunter2\n");
    path = test_dir_write(&dir, "app.ini", text);
    dbm__problems_init(&problems, &host, said, sizeof said);
    assert_int_equal(dbm__config_load(&host, path, NULL, 0, types, TYPES, true, &list, &problems), DBM_OK);
    forget();
    test_dir_remove(&dir);
    assert_false(leaked);
    host.allocator.release = test_heap_release;
}

/* ---- no memory --------------------------------------------------------------------------------------------------- */

static void no_memory(void **state) {
    static const char text[] = "[databases.a]\nurl = postgresql://u:${W_PW}@h1,h2/d?a=1&b=2&password=x\npool_size = "
                               "3\ninit_sql = a\n  b ${W_PW}\nconnect_args.x = y\nfetch_rows = 3\n"
                               "[databases.b]\ntype = sqlite\nurl = sqlite:///x.db\nbusy_timeout = 1\n[databases.c]\ntype = "
                               "neo4j\nurl = some:${W_PW}@x password=y\nauth_token = abc\n";
    static const char wrong[] = "[databases.a]\nurl = postgrsql://u:${W_PW}@h1\npool_sise = 3\necho = x\ntype = "
                                "sqlit\n[databases.a]\nconnect_arg.x = 4\n";
    dbm_option options[2];
    dbm_config in;
    dbm_status rc;
    int n;
    (void)state;
    setenv("W_PW", "hunter2", 1);
    memset(&in, 0, sizeof in);
    options[0].name = "connect_args.password";
    options[0].value = "x";
    options[1].name = "fetch_rows";
    options[1].value = "1";
    in.url = "postgresql://u:p@h/d?x=1";
    in.name = "n";
    in.init_sql = "x";
    in.tls_ca = in.tls_cert = in.tls_key = "y";
    in.options = options;
    in.option_count = 2;
    for (n = 1;; n++) {
        test_heap_fail(&heap, n);
        rc = load(text);
        if (rc == DBM_OK) break;
        assert_int_equal(rc, DBM_E_NOMEM);
        assert_int_equal(list.count, 0);
        assert_int_equal(test_heap_live(&heap), 0);
        assert_int_equal(dbm_last_error()->status, DBM_E_NOMEM);
    }
    assert_true(n > 50);
    assert_int_equal(list.count, 3);
    for (n = 1;; n++) {
        test_heap_fail(&heap, n);
        rc = load(wrong);
        if (rc == DBM_E_CONFIG) break;
        assert_int_equal(rc, DBM_E_NOMEM);
        assert_int_equal(test_heap_live(&heap), 0);
    }
    for (n = 1;; n++) {
        test_heap_fail_all(&heap, n);
        rc = load(text);
        if (rc == DBM_OK) break;
        assert_int_equal(rc, DBM_E_NOMEM);
        assert_int_equal(test_heap_live(&heap), 0);
    }
    for (n = 1;; n++) {
        test_heap_fail(&heap, n);
        rc = make(&in);
        if (rc == DBM_OK) break;
        assert_int_equal(rc, DBM_E_NOMEM);
        assert_null(one);
        assert_int_equal(test_heap_live(&heap), 0);
    }
    assert_true(n > 10);
    test_heap_fail(&heap, 0);
}

static void no_memory_for_the_file(void **state) {
    static char text[20000];
    test_dir dir;
    const char *path;
    dbm_status rc;
    size_t size;
    int n;
    (void)state;
    test_dir_make(&dir);
    size = (size_t)snprintf(text, sizeof text, "[databases.a]\nurl = sqlite:///a.db\n");
    while (size < 18000) size += (size_t)snprintf(text + size, sizeof text - size, "; a comment that fills the file\n");
    path = test_dir_write(&dir, "app.ini", text);
    for (n = 1;; n++) {
        test_heap_fail(&heap, n);
        dbm__problems_init(&problems, &host, said, sizeof said);
        rc = dbm__config_load(&host, path, NULL, 0, types, TYPES, true, &list, &problems);
        if (rc == DBM_OK) break;
        assert_int_equal(rc, DBM_E_NOMEM);
        assert_int_equal(test_heap_live(&heap), 0);
    }
    test_heap_fail(&heap, 0);
    test_dir_remove(&dir);
}

/* Garbage in: an answer, in bounded time, and nothing left behind. */
static void garbage(void **state) {
    static const char pieces[][24] = { "[databases.", "a]",         "\n",         "url",
                                       " = ",         "://",        "${",         "}",
                                       "\"",          ";",          " ",          "%",
                                       "postgresql",  "sqlite:///", "@",          ":",
                                       "\r",          "\t",         "#",          "pool_size",
                                       "[",           "]",          ",",          "&",
                                       "?",           "-1",         "9999999999", "\xEF\xBB\xBF",
                                       "password=",   "tls",        "X",          "connect_args." };
    static char text[2000];
    unsigned seed = 12345;
    int round, i;
    (void)state;
    for (round = 0; round < 20000; round++) {
        size_t n = 0;
        dbm_status rc;
        for (i = 0; i < 40; i++) {
            seed = seed * 1103515245u + 12345u;
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", pieces[(seed >> 16) % (sizeof pieces / sizeof pieces[0])]);
        }
        rc = load_n(text, n);
        assert_true(rc == DBM_OK || rc == DBM_E_CONFIG || rc == DBM_E_NOT_COMPILED);
        assert_true((rc == DBM_OK) == (problems.count == 0));
        assert_true(rc == DBM_OK || list.count == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(durations),
        T(integers),
        T(bools_and_sizes),
        T(the_sample),
        T(defaults),
        T(zero_and_minus_one),
        T(in_code),
        T(pool_limits),
        T(words),
        T(tls_and_sslmode),
        T(sqlite_urls),
        T(network_urls),
        T(bad_urls),
        T(types_and_schemes),
        T(comments_and_quotes),
        T(long_lines),
        T(bytes),
        T(continuation),
        T(sections),
        T(keys),
        T(all_at_once),
        T(too_many),
        T(variables),
        T(overrides),
        T(files),
        T(secrets),
        T(wiped),
        T(no_memory),
        T(no_memory_for_the_file),
        T(garbage)
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
