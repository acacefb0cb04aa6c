/* SPDX-License-Identifier: MIT */
/* Included by every unit test: cmocka, and the headers that it needs before itself. */
#ifndef CARILLON_UNIT_H
#define CARILLON_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
