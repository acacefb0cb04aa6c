/* SPDX-License-Identifier: MIT */
/* What every unit test needs: cmocka, and the headers it wants before itself. */
#ifndef CARILLON_UNIT_H
#define CARILLON_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
