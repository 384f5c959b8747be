// C++11: blocks are objects, so an exception rolls back and gives the connection back; std::string goes in and comes out.
#define DBM_IMPLEMENTATION
#define DBM_WITH_SQLITE
#include "dbm.h"
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

struct close_manager {
    void operator()(dbm_manager *mgr) const { dbm_manager_free(mgr); }
};
typedef std::unique_ptr<dbm_manager, close_manager> manager;

static void check(dbm_status status) {
    if (status != DBM_OK) throw std::runtime_error(dbm_last_error()->message);
}

static manager open_shop() {
    dbm_manager *mgr = nullptr;
    check(dbm_manager_create(&mgr, nullptr));
    manager owned(mgr);
    check(dbm_add_database(mgr, DBM_CONFIG(.name = "shop", .url = "sqlite:///shop.db", .pool.size = 2)));
    check(dbm_init_all(mgr));
    return owned;
}

static int stock(dbm_manager *mgr, const std::string &name) {
    int n = -1;
    DBM_SESSION_OPT(mgr, "shop", s, .read_only = true) {
        dbm_row *row = nullptr;
        if (dbm_query_one(s, &row, "SELECT stock FROM item WHERE name = ?", name) == DBM_OK) dbm_scan(row, &n);
    }
    return n;
}

// Throws in the middle of a session: what was written before is undone, and a warning in the log says where.
static void sell(dbm_manager *mgr, const std::string &name, int count) {
    dbm_status rc = DBM_OK;
    DBM_SESSION_RC(mgr, "shop", s, &rc) {
        dbm_row *row = nullptr;
        int left = 0;
        dbm_exec(s, "UPDATE item SET stock = stock - ? WHERE name = ?", count, name);
        if (dbm_query_one(s, &row, "SELECT stock FROM item WHERE name = ?", name) == DBM_OK) dbm_scan(row, &left);
        if (left < 0) throw std::runtime_error("only " + std::to_string(left + count) + " of " + name + " in stock");
    }
    check(rc);
}

int main() {
    try {
        manager mgr = open_shop();
        dbm_status rc = DBM_OK;
        DBM_SESSION_RC(mgr.get(), "shop", s, &rc) {
            const std::vector<std::string> names = { "apple", "plum", "Bj\xC3\xB6rk's \"pear\"" };
            dbm_script(s, "DROP TABLE IF EXISTS item; CREATE TABLE item(name TEXT PRIMARY KEY, stock INTEGER NOT NULL, price REAL)");
            for (const std::string &name : names) dbm_exec(s, "INSERT INTO item VALUES (?, ?, ?)", name, 10, nullptr);
            dbm_exec(s, "UPDATE item SET price = :price WHERE name = :name", dbm_named("price", dbm_double(0.25)), dbm_named("name", dbm_text("plum")));
        }
        check(rc);

        sell(mgr.get(), "apple", 4);
        std::cout << "apples after a sale of 4: " << stock(mgr.get(), "apple") << "\n";
        bool refused = false;
        try {
            sell(mgr.get(), "plum", 11);
        } catch (const std::exception &e) {
            refused = true;
            std::cout << "a sale of 11 plums: " << e.what() << "\n";
        }
        std::cout << "plums after it: " << stock(mgr.get(), "plum") << ", because the exception rolled back\n";

        DBM_EACH(dbm_get(mgr.get(), "shop"), row, "SELECT name, price FROM item ORDER BY name") {
            std::string name = dbm_row_text(row, 0); // a copy: the row's own text lives until the next row
            std::cout << "  " << name << (dbm_row_is_null(row, 1) ? ": no price" : ": " + std::string(dbm_row_text(row, 1))) << "\n";
        }

        dbm_stats_info stats;
        check(dbm_stats(dbm_get(mgr.get(), "shop"), &stats));
        std::cout << "connections that are out: " << stats.out << "\n";
        return refused && stock(mgr.get(), "apple") == 6 && stock(mgr.get(), "plum") == 10 && stats.out == 0 ? 0 : 1;
    } catch (const std::exception &e) {
        std::cerr << e.what() << "\n";
        return 1;
    }
}
