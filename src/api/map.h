/* Counting and mapping of macro arguments, spelt out: up to 33 (a statement and 32 values), and up to 64 fields of a model.
 * May call: nothing.
 * Must not know: what is mapped. */
#define DBM__X(x) x
#define DBM__CAT2(a, b) a##b
#define DBM__CAT(a, b) DBM__CAT2(a, b)
#define DBM__STR2(x) #x
#define DBM__STR(x) DBM__STR2(x)
#define DBM__NARG2(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, a41, \
    a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, a61, a62, \
    a63, a64, n, ...) n
#define DBM__NARG(...) DBM__X(DBM__NARG2(__VA_ARGS__, 64, 63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, \
    49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, \
    22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0))
/* DBM__ALONE(a) is 1, DBM__ALONE(a, b, ...) is 0. */
#define DBM__ALONE(...) DBM__X(DBM__NARG2(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0))
/* DBM__MAP(f, a, b) is f(a), f(b); DBM__MAP1(f, c, a, b) is f(c, a), f(c, b). */
#define DBM__MAP_1(f, a1) f(a1)
#define DBM__MAP_2(f, a1, a2) f(a1), f(a2)
#define DBM__MAP_3(f, a1, a2, a3) f(a1), f(a2), f(a3)
#define DBM__MAP_4(f, a1, a2, a3, a4) f(a1), f(a2), f(a3), f(a4)
#define DBM__MAP_5(f, a1, a2, a3, a4, a5) f(a1), f(a2), f(a3), f(a4), f(a5)
#define DBM__MAP_6(f, a1, a2, a3, a4, a5, a6) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6)
#define DBM__MAP_7(f, a1, a2, a3, a4, a5, a6, a7) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7)
#define DBM__MAP_8(f, a1, a2, a3, a4, a5, a6, a7, a8) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8)
#define DBM__MAP_9(f, a1, a2, a3, a4, a5, a6, a7, a8, a9) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), \
    f(a9)
#define DBM__MAP_10(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), \
    f(a8), f(a9), f(a10)
#define DBM__MAP_11(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), \
    f(a7), f(a8), f(a9), f(a10), f(a11)
#define DBM__MAP_12(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), \
    f(a7), f(a8), f(a9), f(a10), f(a11), f(a12)
#define DBM__MAP_13(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13) f(a1), f(a2), f(a3), f(a4), f(a5), \
    f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13)
#define DBM__MAP_14(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14) f(a1), f(a2), f(a3), f(a4), \
    f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14)
#define DBM__MAP_15(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15) f(a1), f(a2), f(a3), \
    f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15)
#define DBM__MAP_16(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16) f(a1), f(a2), f(a3), \
    f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), f(a16)
#define DBM__MAP_17(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17) f(a1), f(a2), \
    f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), f(a16), f(a17)
#define DBM__MAP_18(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18)
#define DBM__MAP_19(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19)
#define DBM__MAP_20(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20)
#define DBM__MAP_21(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21)
#define DBM__MAP_22(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22)
#define DBM__MAP_23(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23)
#define DBM__MAP_24(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24)
#define DBM__MAP_25(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25)
#define DBM__MAP_26(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26)
#define DBM__MAP_27(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27)
#define DBM__MAP_28(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28)
#define DBM__MAP_29(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28), f(a29)
#define DBM__MAP_30(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28), f(a29), \
    f(a30)
#define DBM__MAP_31(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28), f(a29), \
    f(a30), f(a31)
#define DBM__MAP_32(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28), f(a29), \
    f(a30), f(a31), f(a32)
#define DBM__MAP_33(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28), f(a29), \
    f(a30), f(a31), f(a32), f(a33)
#define DBM__MAP(f, ...) DBM__X(DBM__CAT(DBM__MAP_, DBM__NARG(__VA_ARGS__))(f, __VA_ARGS__))
#define DBM__MAP1_1(f, c, a1) f(c, a1)
#define DBM__MAP1_2(f, c, a1, a2) f(c, a1), f(c, a2)
#define DBM__MAP1_3(f, c, a1, a2, a3) f(c, a1), f(c, a2), f(c, a3)
#define DBM__MAP1_4(f, c, a1, a2, a3, a4) f(c, a1), f(c, a2), f(c, a3), f(c, a4)
#define DBM__MAP1_5(f, c, a1, a2, a3, a4, a5) f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5)
#define DBM__MAP1_6(f, c, a1, a2, a3, a4, a5, a6) f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6)
#define DBM__MAP1_7(f, c, a1, a2, a3, a4, a5, a6, a7) f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), \
    f(c, a7)
#define DBM__MAP1_8(f, c, a1, a2, a3, a4, a5, a6, a7, a8) f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), \
    f(c, a6), f(c, a7), f(c, a8)
#define DBM__MAP1_9(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9) f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), \
    f(c, a6), f(c, a7), f(c, a8), f(c, a9)
#define DBM__MAP1_10(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10) f(c, a1), f(c, a2), f(c, a3), f(c, a4), \
    f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10)
#define DBM__MAP1_11(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11) f(c, a1), f(c, a2), f(c, a3), f(c, a4), \
    f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11)
#define DBM__MAP1_12(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12) f(c, a1), f(c, a2), f(c, a3), \
    f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), f(c, a12)
#define DBM__MAP1_13(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13) f(c, a1), f(c, a2), f(c, a3), \
    f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), f(c, a12), f(c, a13)
#define DBM__MAP1_14(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14) f(c, a1), f(c, a2), \
    f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), f(c, a12), \
    f(c, a13), f(c, a14)
#define DBM__MAP1_15(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15) f(c, a1), f(c, a2), \
    f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), f(c, a12), \
    f(c, a13), f(c, a14), f(c, a15)
#define DBM__MAP1_16(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16) f(c, a1), \
    f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16)
#define DBM__MAP1_17(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17) f(c, a1), \
    f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17)
#define DBM__MAP1_18(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18)
#define DBM__MAP1_19(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19)
#define DBM__MAP1_20(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20)
#define DBM__MAP1_21(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21)
#define DBM__MAP1_22(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22)
#define DBM__MAP1_23(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23)
#define DBM__MAP1_24(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24)
#define DBM__MAP1_25(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25)
#define DBM__MAP1_26(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26)
#define DBM__MAP1_27(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27)
#define DBM__MAP1_28(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28)
#define DBM__MAP1_29(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29)
#define DBM__MAP1_30(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30)
#define DBM__MAP1_31(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31)
#define DBM__MAP1_32(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32)
#define DBM__MAP1_33(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33)
#define DBM__MAP1_34(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34)
#define DBM__MAP1_35(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35)
#define DBM__MAP1_36(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36)
#define DBM__MAP1_37(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37)
#define DBM__MAP1_38(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38)
#define DBM__MAP1_39(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39)
#define DBM__MAP1_40(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40)
#define DBM__MAP1_41(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41)
#define DBM__MAP1_42(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42)
#define DBM__MAP1_43(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43)
#define DBM__MAP1_44(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44)
#define DBM__MAP1_45(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45)
#define DBM__MAP1_46(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46)
#define DBM__MAP1_47(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47)
#define DBM__MAP1_48(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48)
#define DBM__MAP1_49(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49)
#define DBM__MAP1_50(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50)
#define DBM__MAP1_51(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51)
#define DBM__MAP1_52(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52)
#define DBM__MAP1_53(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53)
#define DBM__MAP1_54(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54)
#define DBM__MAP1_55(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55)
#define DBM__MAP1_56(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56)
#define DBM__MAP1_57(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57)
#define DBM__MAP1_58(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58)
#define DBM__MAP1_59(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59)
#define DBM__MAP1_60(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59), f(c, a60)
#define DBM__MAP1_61(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, \
    a61) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59), f(c, a60), f(c, a61)
#define DBM__MAP1_62(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, \
    a61, a62) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59), f(c, a60), f(c, a61), \
    f(c, a62)
#define DBM__MAP1_63(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, \
    a61, a62, a63) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59), f(c, a60), f(c, a61), \
    f(c, a62), f(c, a63)
#define DBM__MAP1_64(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, \
    a61, a62, a63, a64) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59), f(c, a60), f(c, a61), \
    f(c, a62), f(c, a63), f(c, a64)
#define DBM__MAP1(f, c, ...) DBM__X(DBM__CAT(DBM__MAP1_, DBM__NARG(__VA_ARGS__))(f, c, __VA_ARGS__))
/* DBM__TYPED(q, a, b): q, then the codes of the values as a text, then the values. DBM__BOXED(q, a, b): q, then boxed values (C++). */
#define DBM__TYPED_2(q, a2) q, (const char[]){DBM__CODE(a2), 0}, a2
#define DBM__TYPED_3(q, a2, a3) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), 0}, a2, a3
#define DBM__TYPED_4(q, a2, a3, a4) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), 0}, a2, a3, a4
#define DBM__TYPED_5(q, a2, a3, a4, a5) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), \
    DBM__CODE(a5), 0}, a2, a3, a4, a5
#define DBM__TYPED_6(q, a2, a3, a4, a5, a6) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), \
    DBM__CODE(a5), DBM__CODE(a6), 0}, a2, a3, a4, a5, a6
#define DBM__TYPED_7(q, a2, a3, a4, a5, a6, a7) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), \
    DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), 0}, a2, a3, a4, a5, a6, a7
#define DBM__TYPED_8(q, a2, a3, a4, a5, a6, a7, a8) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), \
    DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), 0}, a2, a3, a4, a5, a6, a7, a8
#define DBM__TYPED_9(q, a2, a3, a4, a5, a6, a7, a8, a9) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), \
    DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), 0}, a2, a3, a4, a5, \
    a6, a7, a8, a9
#define DBM__TYPED_10(q, a2, a3, a4, a5, a6, a7, a8, a9, a10) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), \
    DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), DBM__CODE(a10), 0}, \
    a2, a3, a4, a5, a6, a7, a8, a9, a10
#define DBM__TYPED_11(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), \
    DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), DBM__CODE(a10), \
    DBM__CODE(a11), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11
#define DBM__TYPED_12(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12) q, (const char[]){DBM__CODE(a2), \
    DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), \
    DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12
#define DBM__TYPED_13(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13) q, (const char[]){DBM__CODE(a2), \
    DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), \
    DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, \
    a12, a13
#define DBM__TYPED_14(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14) q, (const char[]){DBM__CODE(a2), \
    DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), \
    DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), 0}, a2, a3, a4, a5, a6, a7, a8, \
    a9, a10, a11, a12, a13, a14
#define DBM__TYPED_15(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15
#define DBM__TYPED_16(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16
#define DBM__TYPED_17(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17
#define DBM__TYPED_18(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, \
    a15, a16, a17, a18
#define DBM__TYPED_19(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, \
    a12, a13, a14, a15, a16, a17, a18, a19
#define DBM__TYPED_20(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), 0}, a2, a3, a4, a5, a6, a7, a8, \
    a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20
#define DBM__TYPED_21(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), 0}, a2, a3, a4, \
    a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21
#define DBM__TYPED_22(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22
#define DBM__TYPED_23(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, \
    a22, a23
#define DBM__TYPED_24(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24
#define DBM__TYPED_25(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, \
    a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25
#define DBM__TYPED_26(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, \
    a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26
#define DBM__TYPED_27(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), 0}, a2, a3, a4, a5, a6, a7, a8, \
    a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27
#define DBM__TYPED_28(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), 0}, a2, a3, a4, \
    a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, \
    a28
#define DBM__TYPED_29(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), DBM__CODE(a29), \
    0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, \
    a25, a26, a27, a28, a29
#define DBM__TYPED_30(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), DBM__CODE(a29), \
    DBM__CODE(a30), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, \
    a22, a23, a24, a25, a26, a27, a28, a29, a30
#define DBM__TYPED_31(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), DBM__CODE(a29), \
    DBM__CODE(a30), DBM__CODE(a31), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31
#define DBM__TYPED_32(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), DBM__CODE(a29), \
    DBM__CODE(a30), DBM__CODE(a31), DBM__CODE(a32), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, \
    a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32
#define DBM__TYPED_33(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), DBM__CODE(a29), \
    DBM__CODE(a30), DBM__CODE(a31), DBM__CODE(a32), DBM__CODE(a33), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, \
    a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33
#define DBM__TYPED_1(q) q, ""
#define DBM__TYPED(...) DBM__X(DBM__CAT(DBM__TYPED_, DBM__NARG(__VA_ARGS__))(__VA_ARGS__))
#define DBM__BOXED_2(q, a2) q, DBM__BOX(a2)
#define DBM__BOXED_3(q, a2, a3) q, DBM__BOX(a2), DBM__BOX(a3)
#define DBM__BOXED_4(q, a2, a3, a4) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4)
#define DBM__BOXED_5(q, a2, a3, a4, a5) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5)
#define DBM__BOXED_6(q, a2, a3, a4, a5, a6) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6)
#define DBM__BOXED_7(q, a2, a3, a4, a5, a6, a7) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), \
    DBM__BOX(a6), DBM__BOX(a7)
#define DBM__BOXED_8(q, a2, a3, a4, a5, a6, a7, a8) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), \
    DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8)
#define DBM__BOXED_9(q, a2, a3, a4, a5, a6, a7, a8, a9) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), \
    DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9)
#define DBM__BOXED_10(q, a2, a3, a4, a5, a6, a7, a8, a9, a10) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), \
    DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), DBM__BOX(a10)
#define DBM__BOXED_11(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), \
    DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), DBM__BOX(a10), DBM__BOX(a11)
#define DBM__BOXED_12(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12) q, DBM__BOX(a2), DBM__BOX(a3), \
    DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), DBM__BOX(a10), \
    DBM__BOX(a11), DBM__BOX(a12)
#define DBM__BOXED_13(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13) q, DBM__BOX(a2), DBM__BOX(a3), \
    DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), DBM__BOX(a10), \
    DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13)
#define DBM__BOXED_14(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14) q, DBM__BOX(a2), DBM__BOX(a3), \
    DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), DBM__BOX(a10), \
    DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14)
#define DBM__BOXED_15(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15) q, DBM__BOX(a2), \
    DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15)
#define DBM__BOXED_16(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16) q, DBM__BOX(a2), \
    DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16)
#define DBM__BOXED_17(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17) q, DBM__BOX(a2), \
    DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17)
#define DBM__BOXED_18(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18)
#define DBM__BOXED_19(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19)
#define DBM__BOXED_20(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20)
#define DBM__BOXED_21(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21)
#define DBM__BOXED_22(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22)
#define DBM__BOXED_23(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23)
#define DBM__BOXED_24(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24)
#define DBM__BOXED_25(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25)
#define DBM__BOXED_26(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26)
#define DBM__BOXED_27(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27)
#define DBM__BOXED_28(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28)
#define DBM__BOXED_29(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28), DBM__BOX(a29)
#define DBM__BOXED_30(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28), DBM__BOX(a29), DBM__BOX(a30)
#define DBM__BOXED_31(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28), DBM__BOX(a29), DBM__BOX(a30), \
    DBM__BOX(a31)
#define DBM__BOXED_32(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28), DBM__BOX(a29), DBM__BOX(a30), \
    DBM__BOX(a31), DBM__BOX(a32)
#define DBM__BOXED_33(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28), DBM__BOX(a29), DBM__BOX(a30), \
    DBM__BOX(a31), DBM__BOX(a32), DBM__BOX(a33)
#define DBM__BOXED_1(q) q
#define DBM__BOXED(...) DBM__X(DBM__CAT(DBM__BOXED_, DBM__NARG(__VA_ARGS__))(__VA_ARGS__))
/* More than 32 values: the error names the limit. */
#define DBM__TYPED_34(...) dbm_takes_at_most_32_values
#define DBM__BOXED_34(...) dbm_takes_at_most_32_values
#define DBM__TYPED_35(...) dbm_takes_at_most_32_values
#define DBM__BOXED_35(...) dbm_takes_at_most_32_values
#define DBM__TYPED_36(...) dbm_takes_at_most_32_values
#define DBM__BOXED_36(...) dbm_takes_at_most_32_values
#define DBM__TYPED_37(...) dbm_takes_at_most_32_values
#define DBM__BOXED_37(...) dbm_takes_at_most_32_values
#define DBM__TYPED_38(...) dbm_takes_at_most_32_values
#define DBM__BOXED_38(...) dbm_takes_at_most_32_values
#define DBM__TYPED_39(...) dbm_takes_at_most_32_values
#define DBM__BOXED_39(...) dbm_takes_at_most_32_values
#define DBM__TYPED_40(...) dbm_takes_at_most_32_values
#define DBM__BOXED_40(...) dbm_takes_at_most_32_values
#define DBM__TYPED_41(...) dbm_takes_at_most_32_values
#define DBM__BOXED_41(...) dbm_takes_at_most_32_values
#define DBM__TYPED_42(...) dbm_takes_at_most_32_values
#define DBM__BOXED_42(...) dbm_takes_at_most_32_values
#define DBM__TYPED_43(...) dbm_takes_at_most_32_values
#define DBM__BOXED_43(...) dbm_takes_at_most_32_values
#define DBM__TYPED_44(...) dbm_takes_at_most_32_values
#define DBM__BOXED_44(...) dbm_takes_at_most_32_values
#define DBM__TYPED_45(...) dbm_takes_at_most_32_values
#define DBM__BOXED_45(...) dbm_takes_at_most_32_values
#define DBM__TYPED_46(...) dbm_takes_at_most_32_values
#define DBM__BOXED_46(...) dbm_takes_at_most_32_values
#define DBM__TYPED_47(...) dbm_takes_at_most_32_values
#define DBM__BOXED_47(...) dbm_takes_at_most_32_values
#define DBM__TYPED_48(...) dbm_takes_at_most_32_values
#define DBM__BOXED_48(...) dbm_takes_at_most_32_values
#define DBM__TYPED_49(...) dbm_takes_at_most_32_values
#define DBM__BOXED_49(...) dbm_takes_at_most_32_values
#define DBM__TYPED_50(...) dbm_takes_at_most_32_values
#define DBM__BOXED_50(...) dbm_takes_at_most_32_values
#define DBM__TYPED_51(...) dbm_takes_at_most_32_values
#define DBM__BOXED_51(...) dbm_takes_at_most_32_values
#define DBM__TYPED_52(...) dbm_takes_at_most_32_values
#define DBM__BOXED_52(...) dbm_takes_at_most_32_values
#define DBM__TYPED_53(...) dbm_takes_at_most_32_values
#define DBM__BOXED_53(...) dbm_takes_at_most_32_values
#define DBM__TYPED_54(...) dbm_takes_at_most_32_values
#define DBM__BOXED_54(...) dbm_takes_at_most_32_values
#define DBM__TYPED_55(...) dbm_takes_at_most_32_values
#define DBM__BOXED_55(...) dbm_takes_at_most_32_values
#define DBM__TYPED_56(...) dbm_takes_at_most_32_values
#define DBM__BOXED_56(...) dbm_takes_at_most_32_values
#define DBM__TYPED_57(...) dbm_takes_at_most_32_values
#define DBM__BOXED_57(...) dbm_takes_at_most_32_values
#define DBM__TYPED_58(...) dbm_takes_at_most_32_values
#define DBM__BOXED_58(...) dbm_takes_at_most_32_values
#define DBM__TYPED_59(...) dbm_takes_at_most_32_values
#define DBM__BOXED_59(...) dbm_takes_at_most_32_values
#define DBM__TYPED_60(...) dbm_takes_at_most_32_values
#define DBM__BOXED_60(...) dbm_takes_at_most_32_values
#define DBM__TYPED_61(...) dbm_takes_at_most_32_values
#define DBM__BOXED_61(...) dbm_takes_at_most_32_values
#define DBM__TYPED_62(...) dbm_takes_at_most_32_values
#define DBM__BOXED_62(...) dbm_takes_at_most_32_values
#define DBM__TYPED_63(...) dbm_takes_at_most_32_values
#define DBM__BOXED_63(...) dbm_takes_at_most_32_values
#define DBM__TYPED_64(...) dbm_takes_at_most_32_values
#define DBM__BOXED_64(...) dbm_takes_at_most_32_values
