/* SPDX-License-Identifier: MIT */
/* Random names from the kernel's generator (getrandom(2)). */
#ifndef CARILLON_RANDOM_ID_H
#define CARILLON_RANDOM_ID_H

#include <stddef.h>

/* Fills text with `digits` lower-case hexadecimal digits and a NUL: digits + 1 bytes. */
void random_id_hex(char *text, size_t digits);

#endif
