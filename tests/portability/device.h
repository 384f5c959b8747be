/* What a program without an operating system brings along, for the compile checks. */
#ifndef DEVICE_H
#define DEVICE_H
#include <stdint.h>
int64_t my_clock_us(void);
#endif
