/* SPDX-License-Identifier: MIT */
/* The version of both programs: --version, and the metric carillon_build_info. It stands in the file VERSION,
 * which the Makefile hands over as CARILLON_RELEASE, without quotes. */
#ifndef CARILLON_VERSION_H
#define CARILLON_VERSION_H

#ifndef CARILLON_RELEASE
#error "CARILLON_RELEASE is not defined: build with make, which reads it from the file VERSION"
#endif

#define CARILLON_QUOTED(word) CARILLON_QUOTE(word)
#define CARILLON_QUOTE(word)  #word
#define CARILLON_VERSION      CARILLON_QUOTED(CARILLON_RELEASE)

#endif
