/* SOCI: bound variables and statements that are prepared once. It has no cache of statements, so for a session each the statements are kept
 * beside the pool's sessions, one for each, found by the position that a lease gives; plainly written code would prepare each time. Inserts use
 * its bulk form, vectors of 1000, fetches vectors of 100: what its manual advises. */
#define BENCH_CONTENDER "soci"
#include "bench.h"
#include <memory>
#include <soci/soci-config.h>
#undef SOCI_HAVE_BOOST /* what it adds is templates alone; it would need Boost's headers */
#undef SOCI_HAVE_BOOST_DATE_TIME
#include <soci/soci.h>
#include <string>
#include <vector>

using soci::into;
using soci::use;

enum { CONNECTIONS = 4 };
struct find {
    long long id = 0;
    int age = 0;
    std::string name;
    std::unique_ptr<soci::statement> st;
    explicit find(soci::session &s) {
        st.reset(new soci::statement((s.prepare << BENCH_LOOKUP(":id"), into(name), into(age), use(id))));
    }
    void run(long which) {
        id = which;
        if (!st->execute(true)) bench_die("lookup", "no row");
        bench_user(name.c_str(), age);
    }
};

static std::unique_ptr<soci::connection_pool> pool;
static std::vector<std::unique_ptr<find>> finds;

static void open_size(std::size_t size) {
    pool.reset(new soci::connection_pool(size));
    for (std::size_t i = 0; i < size; i++) {
        pool->at(i).open(bench_environment("BENCH_SOCI"));
        finds.emplace_back(new find(pool->at(i)));
    }
}
static void open_it() { open_size(CONNECTIONS); }
static void close_it() {
    finds.clear();
    pool.reset();
}

static void lookup(long n) {
    soci::transaction all(pool->at(0));
    for (long i = 0; i < n; i++) finds[0]->run(bench_id(i));
    all.commit();
}
static void session(long n) {
    for (long i = 0; i < n; i++) {
        std::size_t at = pool->lease();
        finds[at]->run(bench_id(i));
        pool->give_back(at);
    }
}
static void transaction(long n) {
    for (long i = 0; i < n; i++) {
        std::size_t at = pool->lease();
        soci::transaction one(pool->at(at));
        finds[at]->run(bench_id(i));
        one.commit();
        pool->give_back(at);
    }
}
static void scan(long n) {
    enum { ROWS = 100 };
    std::vector<long long> ids(ROWS);
    std::vector<std::string> names(ROWS);
    std::vector<int> ages(ROWS);
    std::vector<double> scores(ROWS);
    long long limit = n;
    soci::statement st = (pool->at(0).prepare << BENCH_SCAN(":n"), into(ids), into(names), into(ages), into(scores), use(limit));
    st.execute();
    while (st.fetch()) {
        for (std::size_t i = 0; i < ids.size(); i++) bench_big(ids[i], names[i].c_str(), ages[i], scores[i]);
        ids.resize(ROWS);
        names.resize(ROWS);
        ages.resize(ROWS);
        scores.resize(ROWS);
    }
}
static void clear() { pool->at(0) << BENCH_CLEAR; }
/* A new statement for each vector: one that is executed again sends its first vector again. */
static void insert(long n) {
    enum { ROWS = 1000 };
    soci::transaction all(pool->at(0));
    for (long id = 1; id <= n;) {
        std::vector<long long> ids;
        std::vector<std::string> names;
        std::vector<double> scores;
        for (; ids.size() < ROWS && id <= n; id++) {
            ids.push_back(id);
            names.push_back(bench_name(id));
            scores.push_back(bench_score(id));
        }
        soci::statement st = (pool->at(0).prepare << BENCH_INSERT(":id", ":name", ":score"), use(ids), use(names), use(scores));
        st.execute(true);
    }
    all.commit();
}
static void insert_loop(long n) {
    long long id = 0;
    std::string name;
    double score = 0;
    soci::transaction all(pool->at(0));
    soci::statement st = (pool->at(0).prepare << BENCH_INSERT(":id", ":name", ":score"), use(id), use(name), use(score));
    while (id < n) {
        id++;
        name = bench_name(static_cast<long>(id));
        score = bench_score(static_cast<long>(id));
        st.execute(true);
    }
    all.commit();
}
static void notes() {
    double sum = 0;
    pool->at(0) << BENCH_NOTES, into(sum);
    bench_sum = static_cast<uint64_t>(sum);
}

static long checkouts(long n) {
    for (long i = 0; i < n; i++) pool->give_back(pool->lease());
    return n;
}
BENCH_CHECKOUTS(checkouts, checkouts)
static void starts(long n) {
    for (long i = 0; i < n; i++) {
        open_size(1);
        finds[0]->run(bench_id(i));
        close_it();
    }
}
static void idle(long n) {
    uint64_t sum = bench_sum;
    close_it();
    open_size(static_cast<std::size_t>(n));
    for (long i = 0; i < n; i++) finds[static_cast<std::size_t>(i)]->run(bench_id(i));
    bench_sum = sum + static_cast<uint64_t>(n);
}

static const bench_entry entries[] = {
    BENCH_PEER(open_it, close_it, insert_loop),
    { "sqlite_insert", "bulk", open_it, clear, insert, notes, close_it },
    { "postgresql_insert", "bulk", open_it, clear, insert, notes, close_it },
    { "mariadb_insert", "bulk", open_it, clear, insert, notes, close_it },
    { "start_sqlite", "", NULL, NULL, starts, NULL, NULL },
    BENCH_POOL(open_it, close_it),
};

int main(int argc, char **argv) {
    try {
        return bench_main(argc, argv, entries, sizeof entries / sizeof entries[0]);
    } catch (const std::exception &e) {
        bench_die("exception", e.what());
    }
}
