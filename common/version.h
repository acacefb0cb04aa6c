/* SPDX-License-Identifier: MIT */
/* The version of both programs: --version, and the metric carillon_build_info. */
#ifndef CARILLON_VERSION_H
#define CARILLON_VERSION_H

#define CARILLON_VERSION "0.1.0"

#endif
