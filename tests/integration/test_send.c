/* dbm_send through a pipeline, against a scripted server that runs what was sent only when something waits: where a failure shows and whose it is,
 * what a savepoint, a commit, a rollback and the end of a session make of what is under way, connections that die, cancels, deadlines, no memory. */
#include "scripted.h" /* and dbm_test.h, first */

static server *v;
static dbm_manager *mgr;
static dbm_database *db;
static test_heap heap;

#define GOOD(x) CHECK_STATUS(x, DBM_OK)

static dbm_database *begin_with(const dbm_config *config) {
    dbm_options options;
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&heap);
    v = server_make();
    mgr = server_manager(&options);
    db = server_add(mgr, v, "piped", config);
    GOOD(dbm_init_all(mgr));
    log_clear(v);
    return db;
}
static void begin(void) {
    dbm_config config;
    memset(&config, 0, sizeof config);
    config.pool.size = 1;
    config.pool.max_overflow = -1;
    (void)begin_with(&config);
}
/* Nothing is out, left open or in use; the connection is the first one still where `kept`. */
static void end(bool kept) {
    assert_int_equal(stats_of(db).out, 0);
    assert_int_equal(server_count(v, ON_DISCONNECT), kept ? 0 : 1);
    dbm_manager_free(mgr);
    assert_int_equal(server_end_all(), 0);
    assert_int_equal(test_heap_live(&heap), 0);
}
/* The failure that the last block ended with: of this statement, and sent from this line of this file. */
static void failed_as(dbm_status status, const char *sql, int line) {
    dbm_error_info e;
    char site[64];
    assert_true(dbm_session_failed(&e));
    (void)snprintf(site, sizeof site, "test_send.c:%d", line);
    assert_int_equal(e.status, status);
    if (strstr(e.site, site) == NULL || strstr(e.message, sql) == NULL) fail_msg("%s at %s, expected %s of %s", e.message, e.site, sql, site);
    assert_string_equal(e.database, "default");
    assert_int_equal(e.stage, DBM_STAGE_STATEMENT);
}
#define FAILED_AS(status, sql, line) failed_as(status, "[SQL: " sql "]", line)

static void one_wait_for_all(void **state) {
    (void)state;
    begin();
    DBM_SESSION_ON(db, s) {
        GOOD(dbm_send(s, "write 1"));
        GOOD(dbm_send(s, "write ?", 7));
        GOOD(dbm_sendv(s, "rows 3 x 2", NULL, 0)); /* its rows are dropped */
        assert_int_equal(v->statements, 3);
    }
    assert_false(dbm_session_failed(NULL));
    assert_string_equal(log_text(v), "begin1 execute1:write 1 execute1:write ? execute1:rows 3 x 2 commit1"); /* the commit answers for all */
    assert_int_equal(v->commits, 1);
    assert_int_equal(v->queued_most, 3);
    end(true);
}

static void what_waits_shows_it(void **state) {
    int line = 0;
    (void)state;
    for (int way = 0; way < 12; way++) {
        dbm_status rc = DBM_OK, seen = DBM_OK;
        begin();
        DBM_SESSION_RC(mgr, "", s, &rc) {
            dbm_row *row;
            dbm_rows *rows;
            dbm_statement *st;
            GOOD(dbm_exec(s, "write first"));
            GOOD(dbm_prepare(s, "write prepared", &st));
            GOOD(dbm_send(s, "write 1"));
            GOOD(dbm_send(s, "fail 23505")); line = __LINE__;
            GOOD(dbm_send(s, "write 2"));
            GOOD(dbm_status_of(s)); /* does not wait */
            v->prepare_waits = true;
            switch (way) {
            case 0: seen = dbm_exec(s, "write 3"); break;
            case 1: seen = dbm_query(s, &rows, "rows 1 x 1"); break;
            case 2: seen = dbm_query_one(s, &row, "rows 1 x 1"); break;
            case 3: seen = dbm_commit(s); break;
            case 4: assert_null(dbm_native(s, "piped")); seen = dbm_status_of(s); break;
            case 5: assert_int_equal(dbm_affected(s), 1); seen = dbm_status_of(s); break;
            case 6: (void)dbm_last_id(s); seen = dbm_status_of(s); break;
            case 7: seen = dbm_prepare(s, "write 4", &st); break;
            case 8: seen = dbm_stmt_exec(st); break;
            case 9: DBM_EACH(s, r, "rows 1 x 1") seen = DBM_DONE; seen = seen == DBM_OK ? dbm_status_of(s) : seen; break;
            case 10: seen = dbm_script(s, "write 5; write 6"); break;
            default: seen = DBM_E_CONSTRAINT; break; /* the end of the block */
            }
            assert_int_equal(seen, DBM_E_CONSTRAINT);
            if (way < 11) {
                const char *said = dbm_last_error()->message, *sql = strstr(said, "[SQL: fail 23505]");
                if (sql == NULL || strstr(sql + 1, "[SQL") != NULL || strstr(said, "line") != NULL) fail_msg("%d: %s", way, said);
                assert_int_equal(dbm_last_error()->stage, DBM_STAGE_STATEMENT);
                log_clear(v);
                assert_int_equal(dbm_exec(s, "write 7"), DBM_E_CONSTRAINT);
                assert_int_equal(dbm_send(s, "write 8"), DBM_E_CONSTRAINT);
                assert_string_equal(log_text(v), "");
            }
        }
        assert_int_equal(rc, DBM_E_CONSTRAINT);
        FAILED_AS(DBM_E_CONSTRAINT, "fail 23505", line);
        assert_int_equal(v->commits, 0);
        assert_int_equal(v->rollbacks, 1);
        end(true);
    }
}

/* Through a handle, and where there is no pipeline: the same answers at the same places. */
static void by_handle_and_at_once(void **state) {
    static const char *const forms[] = { "piped", "scripted" };
    (void)state;
    for (int i = 0; i < 2; i++) {
        dbm_status rc = DBM_OK;
        int line = 0;
        begin();
        dbm_config other;
        memset(&other, 0, sizeof other);
        other.name = "other";
        other.pool.size = 1;
        if (i == 1) db = server_add(mgr, v = server_make(), forms[i], &other);
        DBM_SESSION_ON(db, s) {
            dbm_statement *st;
            dbm_value value = dbm_int(5);
            GOOD(dbm_prepare(s, "write ?", &st));
            for (int k = 0; k < 3; k++) GOOD(dbm_stmt_send(st, k));
            GOOD(dbm__stmt_sendv("here", st, &value, 1));
            assert_int_equal(v->queued_most, i == 0 ? 4 : 0);
            assert_int_equal(dbm_last_id(s), 4);
            assert_int_equal(server_count(v, DBM_OP_PREPARE), 1);
        }
        assert_false(dbm_session_failed(NULL));
        DBM_SESSION_WITH(mgr, i == 1 ? "other" : "", s, NULL) {
            dbm_statement *st;
            GOOD(dbm_prepare(s, "write ?", &st));
            GOOD(dbm_stmt_send(st)); line = __LINE__;
            assert_int_equal(dbm_stmt_send(st, 1), DBM_E_MISUSE);
            rc = dbm_commit(s);
        }
        assert_int_equal(rc, DBM_E_MISUSE);
        dbm_error_info e;
        assert_true(dbm_session_failed(&e));
        assert_non_null(strstr(e.message, "[SQL: write ?]"));
        assert_int_equal(atoi(strrchr(e.site, ':') + 1), line);
        assert_int_equal(v->rollbacks, 0); /* nothing had begun */
        dbm_manager_free(mgr);
        assert_int_equal(server_end_all(), 0);
    }
}

static void left_early_it_is_the_failure(void **state) {
    int line = 0;
    dbm_status rc = DBM_OK;
    (void)state;
    begin();
    DBM_SESSION_RC(mgr, "", s, &rc) {
        GOOD(dbm_send(s, "write 1"));
        GOOD(dbm_send(s, "fail 23502")); line = __LINE__;
        break;
    }
    assert_int_equal(rc, DBM_E_CONSTRAINT);
    FAILED_AS(DBM_E_CONSTRAINT, "fail 23502", line);
    DBM_SESSION_RC(mgr, "", s, &rc) {
        GOOD(dbm_send(s, "write 1"));
        break;
    }
    assert_int_equal(rc, DBM_E_LEFT_EARLY);
    assert_int_equal(v->rollbacks, 2);
    end(true);
}

static void rolled_back_it_is_gone(void **state) {
    (void)state;
    begin();
    DBM_SESSION_ON(db, s) {
        GOOD(dbm_send(s, "write 1"));
        GOOD(dbm_send(s, "fail 23505"));
        GOOD(dbm_rollback(s));
        GOOD(dbm_send(s, "write 2"));
        assert_int_equal(dbm_affected(s), 1);
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(v->commits, 1);
    assert_int_equal(v->rollbacks, 1);
    end(true);
}

static void affected_and_keys(void **state) {
    (void)state;
    begin();
    DBM_SESSION_ON(db, s) {
        assert_int_equal(dbm_affected(s), -1);
        GOOD(dbm_send(s, "write 1"));
        GOOD(dbm_send(s, "write 2"));
        GOOD(dbm_send(s, "rows 2 x 2"));
        assert_int_equal(dbm_last_id(s), 2);
        assert_int_equal(dbm_affected(s), 1);
        GOOD(dbm_send(s, "write 3"));
        GOOD(dbm_exec(s, "rows 1 x 1")); /* tells of the one before it, too */
        log_clear(v);
        assert_int_equal(dbm_last_id(s), 3);
        assert_string_equal(log_text(v), "");
    }
    end(true);
}

/* The first failure of the program is the one, though a later one was seen first. */
static void the_older_failure(void **state) {
    int line = 0;
    (void)state;
    begin();
    DBM_SESSION_ON(db, s) {
        GOOD(dbm_send(s, "fail 23505")); line = __LINE__;
        GOOD(dbm_send(s, "write ?", 5, 6));
        assert_int_equal(dbm_status_of(s), DBM_E_CONSTRAINT);
    }
    FAILED_AS(DBM_E_CONSTRAINT, "fail 23505", line);
    end(true);
}

static void savepoints(void **state) {
    dbm_status rc = DBM_OK;
    int line = 0, way;
    (void)state;
    for (way = 0; way < 3; way++) { /* inside: it can be undone. Found by the end, by a call, by leaving early */
        begin();
        DBM_SESSION_ON(db, s) {
            GOOD(dbm_send(s, "write 1"));
            DBM_SAVEPOINT_RC(s, &rc) {
                GOOD(dbm_send(s, "write 2"));
                GOOD(dbm_send(s, "fail 23505"));
                GOOD(dbm_send(s, "write 3"));
                if (way == 1) assert_int_equal(dbm_exec(s, "write 4"), DBM_E_CONSTRAINT);
                if (way == 2) break;
            }
            assert_int_equal(rc, DBM_E_CONSTRAINT);
            assert_int_equal(dbm_status_of(s), DBM_E_CONSTRAINT);
            GOOD(dbm_clear_error(s));
            GOOD(dbm_send(s, "write 5"));
        }
        assert_false(dbm_session_failed(NULL));
        assert_int_equal(v->commits, 1);
        assert_int_equal(server_count(v, DBM_OP_ROLLBACK_TO), 1);
        end(true);
    }
    for (way = 0; way < 6; way++) { /* before it: nothing helps, and the savepoint was never made */
        begin();
        v->lazy_points = way > 2;
        DBM_SESSION_ON(db, s) {
            GOOD(dbm_send(s, "fail 23505")); line = __LINE__;
            DBM_SAVEPOINT_RC(s, &rc) {
                if (way % 3 == 0) assert_int_equal(dbm_exec(s, "write 2"), DBM_E_CONSTRAINT);
                if (way % 3 == 1) (void)dbm_send(s, "write 2");
                if (way % 3 == 2) break;
            }
            if (way % 3 == 0) {
                assert_int_equal(rc, DBM_E_CONSTRAINT);
                assert_int_equal(dbm_clear_error(s), DBM_E_MISUSE);
            }
        }
        FAILED_AS(DBM_E_CONSTRAINT, "fail 23505", line);
        assert_int_equal(v->commits, 0);
        assert_int_equal(v->rollbacks, 1);
        assert_int_equal(server_count(v, DBM_OP_ROLLBACK_TO), 0);
        end(true);
    }
}

static void blocks_within(void **state) {
    dbm_status rc = DBM_OK, outer = DBM_OK;
    int line = 0;
    (void)state;
    begin(); /* the inner one's failure is its own */
    DBM_SESSION_RC(mgr, "", s, &outer) {
        GOOD(dbm_send(s, "write 1"));
        DBM_SESSION_RC(mgr, "", t, &rc) {
            GOOD(dbm_send(t, "fail 23505"));
        }
        assert_int_equal(rc, DBM_E_CONSTRAINT);
        GOOD(dbm_send(s, "write 2"));
    }
    GOOD(outer);
    assert_int_equal(v->commits, 1);
    end(true);
    for (int lazy = 0; lazy < 2; lazy++) { /* the outer one's is the inner one's too */
        begin();
        v->lazy_points = lazy != 0;
        DBM_SESSION_RC(mgr, "", s, &outer) {
            GOOD(dbm_send(s, "fail 23505")); line = __LINE__;
            DBM_SESSION_RC(mgr, "", t, &rc) {
                GOOD(dbm_send(t, "write 1"));
                assert_int_equal(dbm_affected(t), -1);
            }
            assert_int_equal(rc, DBM_E_CONSTRAINT);
        }
        assert_int_equal(outer, DBM_E_CONSTRAINT);
        FAILED_AS(DBM_E_CONSTRAINT, "fail 23505", line);
        assert_int_equal(v->commits, 0);
        end(true);
    }
    begin(); /* kept, if the outer one commits */
    DBM_SESSION_RC(mgr, "", s, &outer) {
        GOOD(dbm_send(s, "write 1"));
        DBM_SESSION_RC(mgr, "", t, &rc) GOOD(dbm_send(t, "write 2"));
        GOOD(rc);
        GOOD(dbm_send(s, "write 3"));
    }
    GOOD(outer);
    assert_string_equal(log_text(v), "begin1 execute1:write 1 savepoint1 execute1:write 2 release1 execute1:write 3 commit1");
    end(true);
}

static void each_alone(void **state) {
    dbm_status rc = DBM_OK;
    int line = 0;
    (void)state;
    begin();
    DBM_SESSION_OPT(mgr, "", s, .autocommit = 1, .status = &rc) {
        GOOD(dbm_send(s, "write 1"));
        GOOD(dbm_commit(s)); /* waits */
        GOOD(dbm_send(s, "fail 23505")); line = __LINE__;
        assert_int_equal(dbm_commit(s), DBM_E_CONSTRAINT);
        GOOD(dbm_clear_error(s));
        GOOD(dbm_send(s, "write 2"));
        GOOD(dbm_send(s, "fail 23505"));
    }
    assert_int_equal(rc, DBM_E_CONSTRAINT);
    FAILED_AS(DBM_E_CONSTRAINT, "fail 23505", line + 4);
    assert_int_equal(v->commits, 0);
    assert_int_equal(v->rollbacks, 0);
    end(true);
    begin(); /* on a database it runs at once */
    GOOD(dbm_send(db, "write 1"));
    assert_int_equal(dbm_send(db, "fail 23505"), DBM_E_CONSTRAINT);
    assert_int_equal(v->queued_most, 0);
    end(true);
}

static void lost(void **state) {
    dbm_status rc = DBM_OK;
    (void)state;
    for (int way = 0; way < 6; way++) {
        dbm_error_info e;
        bool in_doubt;
        begin();
        DBM_SESSION_OPT(mgr, "", s, .autocommit = way > 1 && way < 5, .status = &rc) {
            GOOD(dbm_send(s, way < 4 ? "write 1" : "rows 1 x 1"));
            if (way == 3) GOOD(dbm_affected(s) == 1 ? DBM_OK : DBM_E_SQL);
            if (way != 5) plan(v, DBM_OP_EXECUTE, 1, LOSE);
            GOOD(dbm_send(s, way == 4 ? "rows 2 x 1" : "write 2"));
            if (way == 1) server_kill(v, 0); /* seen by who waits, not by the pipeline */
            if (way == 5) plan(v, DBM_OP_COMMIT, 1, LOSE); /* which may be done */
            else assert_int_equal(dbm_exec(s, way == 4 ? "rows 3 x 1" : "write 3"), way == 2 || way == 3 ? DBM_E_IN_DOUBT : DBM_E_LOST);
        }
        in_doubt = way == 2 || way == 3 || way == 5;
        assert_int_equal(rc, in_doubt ? DBM_E_IN_DOUBT : DBM_E_LOST);
        assert_true(dbm_session_failed(&e));
        assert_int_equal(e.retryable, !in_doubt);
        if (way != 5) assert_non_null(strstr(e.message, way == 1 ? "[SQL: write 1]" : way == 4 ? "[SQL: rows 2 x 1]" : "[SQL: write 2]"));
        else assert_null(strstr(e.message, "SQL"));
        assert_int_equal(server_count(v, DBM_OP_CONNECT), 1); /* not replaced: what was sent is not known any more */
        GOOD(dbm_exec(db, "write 4")); /* on another one */
        end(false);
    }
    begin(); /* dead before anything was sent: then it is */
    plan(v, DBM_OP_BEGIN, 1, LOSE);
    DBM_SESSION_RC(mgr, "", s, &rc) GOOD(dbm_send(s, "write 1"));
    GOOD(rc);
    assert_int_equal(v->commits, 1);
    end(false);
}

static void the_window(void **state) {
    dbm_status rc = DBM_OK;
    int line = 0;
    (void)state;
    for (int window = 1; window <= 257; window = window * 2 + (window == 128)) {
        begin();
        v->window = window > DBM_PIPELINE_MAX ? 0 : window;
        DBM_SESSION_RC(mgr, "", s, &rc) {
            for (int i = 0; i < 1000; i++) GOOD(dbm_send(s, "write ?", i));
            assert_int_equal(dbm_last_id(s), 1000);
        }
        GOOD(rc);
        assert_int_equal(v->queued_most, window > DBM_PIPELINE_MAX ? DBM_PIPELINE_MAX : window);
        end(true);
    }
    begin(); /* found when there is no room: by the statement that is not sent */
    v->window = 4;
    plan_fail(v, DBM_OP_EXECUTE, 3, DBM_E_SERIALIZATION, "40001");
    DBM_SESSION_RC(mgr, "", s, &rc) {
        for (int i = 0; i < 6; i++) { GOOD(dbm_send(s, "write ?", i)); line = __LINE__; }
        assert_int_equal(dbm_send(s, "write 9"), DBM_OK);
        assert_int_equal(dbm_send(s, "write 9"), DBM_E_SERIALIZATION);
        assert_int_equal(server_count(v, DBM_OP_EXECUTE), 7);
    }
    FAILED_AS(DBM_E_SERIALIZATION, "write ?", line);
    end(true);
    begin(); /* an adapter may as well run it at once */
    v->no_queue = true;
    DBM_SESSION_RC(mgr, "", s, &rc) {
        GOOD(dbm_send(s, "rows 3 x 1"));
        GOOD(dbm_send(s, "fail 23505"));
        assert_int_equal(dbm_exec(s, "write 1"), DBM_E_CONSTRAINT);
    }
    assert_int_equal(rc, DBM_E_CONSTRAINT);
    end(true);
}

/* Statements stay as long as they are unanswered, whatever the cache does. */
static void more_than_the_cache(void **state) {
    (void)state;
    for (int size = -1; size <= 3; size += 2) {
        dbm_config config;
        memset(&config, 0, sizeof config);
        config.pool.size = 1;
        config.pool.max_overflow = -1;
        config.statement_cache = size;
        (void)begin_with(&config);
        DBM_SESSION_ON(db, s) {
            for (int i = 0; i < 40; i++) {
                char sql[32];
                (void)snprintf(sql, sizeof sql, "write %d", i % 7);
                GOOD(dbm_send(s, sql));
                if (i == 20) GOOD(dbm_exec(s, "rows 2 x 2"));
            }
            GOOD(dbm_commit(s));
            assert_in_range(v->statements, 0, 3);
        }
        assert_int_equal(v->commits, 1);
        end(true);
    }
}

/* One that is read from may be sent, and the other way round. */
static void rows_and_sends(void **state) {
    dbm_status rc = DBM_OK;
    int n = 0, line = 0;
    (void)state;
    begin();
    DBM_SESSION_RC(mgr, "", s, &rc) {
        DBM_EACH(s, row, "rows 10 x 2 write") {
            GOOD(dbm_send(s, "rows 10 x 2 write"));
            n += (int)dbm_row_int(row, 1);
        }
        assert_int_equal(n, 4510);
    }
    GOOD(rc);
    end(true);
    begin();
    DBM_SESSION_RC(mgr, "", s, &rc) {
        n = 0;
        DBM_EACH(s, row, "rows 10 x 2") {
            if (++n == 4) { GOOD(dbm_send(s, "fail 23505")); line = __LINE__; }
        }
        assert_int_equal(n, 4);
    }
    FAILED_AS(DBM_E_CONSTRAINT, "fail 23505", line);
    end(true);
    begin(); /* the end of rows that were left open tells of it before the commit */
    v->finish_answers = true;
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_rows *rows;
        GOOD(dbm_query(s, &rows, "rows 3 x 1"));
        GOOD(dbm_rows_next(rows, NULL));
        GOOD(dbm_send(s, "fail 23505")); line = __LINE__;
    }
    FAILED_AS(DBM_E_CONSTRAINT, "fail 23505", line);
    assert_int_equal(v->results, 0);
    assert_int_equal(server_count(v, DBM_OP_COMMIT), 0);
    end(true);
    begin(); /* and in a block within, which then sends nothing either */
    v->finish_answers = true;
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_rows *rows;
        GOOD(dbm_query(s, &rows, "rows 3 x 1"));
        GOOD(dbm_send(s, "fail 23505")); line = __LINE__;
        DBM_SESSION(mgr, "", t) {
            dbm_rows_end(rows);
            assert_int_equal(dbm_send(t, "write 1"), DBM_E_CONSTRAINT);
        }
    }
    FAILED_AS(DBM_E_CONSTRAINT, "fail 23505", line);
    end(true);
}

static void cancelled(void **state) {
    dbm_status rc = DBM_OK;
    int line = 0;
    (void)state;
    begin();
    DBM_SESSION_RC(mgr, "", s, &rc) {
        GOOD(dbm_send(s, "write 1"));
        plan(v, DBM_OP_EXECUTE, 1, DROP);
        GOOD(dbm_send(s, "write 2")); line = __LINE__;
        GOOD(dbm_cancel(s));
        assert_int_equal(dbm_exec(s, "write 3"), DBM_E_CANCELLED);
    }
    FAILED_AS(DBM_E_CANCELLED, "write 2", line);
    assert_int_equal(v->rollbacks, 1);
    end(true);
    begin(); /* at a deadline, though COMMIT is what would have waited */
    DBM_SESSION_OPT(mgr, "", s, .timeout_ms = 50, .status = &rc) {
        GOOD(dbm_send(s, "write 1"));
        plan(v, DBM_OP_EXECUTE, 1, DROP);
        GOOD(dbm_send(s, "write 2")); line = __LINE__;
    }
    FAILED_AS(DBM_E_TIMEOUT, "write 2", line);
    assert_int_equal(v->commits, 0);
    assert_int_equal(v->rollbacks, 1);
    end(true);
    begin(); /* before a savepoint, which would not hear of it */
    DBM_SESSION_OPT(mgr, "", s, .timeout_ms = 50, .status = &rc) {
        plan(v, DBM_OP_EXECUTE, 1, DROP);
        GOOD(dbm_send(s, "write 1")); line = __LINE__;
        DBM_SAVEPOINT(s) GOOD(dbm_send(s, "write 2"));
    }
    FAILED_AS(DBM_E_TIMEOUT, "write 1", line);
    end(true);
}

static void that_only_read(void **state) {
    dbm_status rc = DBM_OK;
    int line = 0;
    (void)state;
    begin();
    DBM_SESSION_OPT(mgr, "", s, .read_only = 1, .status = &rc) {
        GOOD(dbm_send(s, "rows 1 x 1"));
    }
    GOOD(rc);
    DBM_SESSION_OPT(mgr, "", s, .read_only = 1, .status = &rc) {
        plan_fail(v, DBM_OP_EXECUTE, 1, DBM_E_SQL, "42P01");
        GOOD(dbm_send(s, "rows 1 x 1")); line = __LINE__;
    }
    FAILED_AS(DBM_E_SQL, "rows 1 x 1", line);
    DBM_SESSION_OPT(mgr, "", s, .read_only = 1, .status = &rc) {
        GOOD(dbm_send(s, "write 1")); /* refused here, and shown by the next call */
        assert_int_equal(dbm_send(s, "rows 1 x 1"), DBM_E_READ_ONLY);
    }
    assert_int_equal(rc, DBM_E_READ_ONLY);
    end(true);
}

static void no_memory(void **state) {
    (void)state;
    for (int n = 1; n < 40; n++) {
        dbm_status rc = DBM_OK;
        bool failed;
        begin();
        long before = heap.failed;
        test_heap_fail(&heap, n);
        DBM_SESSION_RC(mgr, "", s, &rc) {
            (void)dbm_send(s, "write 1");
            (void)dbm_send(s, "write ?", 5);
            DBM_SAVEPOINT(s) (void)dbm_send(s, "write 3");
            (void)dbm_exec(s, "rows 2 x 2");
        }
        test_heap_fail(&heap, 0);
        failed = heap.failed != before;
        assert_int_equal(rc, failed ? DBM_E_NOMEM : DBM_OK);
        assert_int_equal(v->commits, failed ? 0 : 1);
        end(true);
        if (!failed) {
            assert_in_range(n, 4, 12);
            return;
        }
    }
    fail_msg("it never worked");
}

static void what_an_adapter_needs(void **state) {
    dbm_adapter a = adapter_piped;
    (void)state;
    begin();
    a.type = "other";
    a.flags |= DBM_ADAPTER_SHARED;
    assert_int_equal(dbm_register(mgr, &a), DBM_E_MISUSE);
    a = adapter_scripted;
    a.type = "other";
    a.flags |= DBM_ADAPTER_PIPELINE;
    assert_int_equal(dbm_register(mgr, &a), DBM_E_MISUSE);
    end(true);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_wait_for_all), cmocka_unit_test(what_waits_shows_it), cmocka_unit_test(by_handle_and_at_once),
        cmocka_unit_test(left_early_it_is_the_failure),
        cmocka_unit_test(rolled_back_it_is_gone), cmocka_unit_test(affected_and_keys), cmocka_unit_test(the_older_failure),
        cmocka_unit_test(savepoints), cmocka_unit_test(blocks_within), cmocka_unit_test(each_alone), cmocka_unit_test(lost),
        cmocka_unit_test(the_window), cmocka_unit_test(more_than_the_cache), cmocka_unit_test(rows_and_sends), cmocka_unit_test(cancelled), cmocka_unit_test(that_only_read),
        cmocka_unit_test(no_memory), cmocka_unit_test(what_an_adapter_needs)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
