/* SPDX-License-Identifier: MIT */
/* Tokens for unit tests: HS256, signed with TOKENS_SECRET. */
#ifndef CARILLON_TESTS_TOKENS_H
#define CARILLON_TESTS_TOKENS_H

#include "tests/unit/unit.h"

#include "common/token.h"

#define TOKENS_SECRET "0123456789abcdef0123456789abcdef"
#define TOKENS_END_S  32503679999

/* user 1, until the year 2999 */
#define TOKEN_OF_1                                                                                           \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIiwiZXhwIjozMjUwMzY3OTk5OX0."                                          \
    "8iU8HkWK9aEIscxbsA0gkYq8umL9uVHImlHqyE7Y8II"

/* the same, ends 1000 s earlier */
#define TOKEN_OF_1_SOONER                                                                                    \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIiwiZXhwIjozMjUwMzY3ODk5OX0.fsA7PlsEEijE3-d7s-QrHJBcXXf9dsVBghsOfFL--" \
    "8c"

/* user 1, who is an administrator */
#define TOKEN_OF_1_ADMIN                                                                                     \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIiwiZXhwIjozMjUwMzY3OTk5OSwic2NvcGUiOiJ0YXNrczphZG1pbiJ9."             \
    "nCnW3iNU6gbiY9NCxxQoSjtBwryYhbVeKLdrZSkAtdE"

/* the same, ends 1000 s earlier */
#define TOKEN_OF_1_ADMIN_SOONER                                                                              \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIiwiZXhwIjozMjUwMzY3ODk5OSwic2NvcGUiOiJ0YXNrczphZG1pbiJ9."             \
    "FpJxdFodQBhhkFjpntbhT8wUICAVeEwc_oY4OLxo1qg"

/* user 1, with the groups 5 and 1000 */
#define TOKEN_OF_1_AND_GROUPS                                                                                \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIiwiZXhwIjozMjUwMzY3OTk5OSwiZ3JvdXBzIjpbIjEwMDAiLDUsIjUiLDFdfQ.gw3s"   \
    "hd9TUGkYDq3QyiOCsW7O-1Nzcy_1CKFDXdZl71o"

/* user 1, with the group 5 */
#define TOKEN_OF_1_AND_5                                                                                     \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIiwiZXhwIjozMjUwMzY3OTk5OSwiZ3JvdXBzIjpbIjUiXX0.cuZjGMZYbQzt_5zW1bL"   \
    "YVurrPScKBQZ_PeTtb-BwgfY"

/* the same, ends 1000 s earlier */
#define TOKEN_OF_1_AND_5_SOONER                                                                              \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIiwiZXhwIjozMjUwMzY3ODk5OSwiZ3JvdXBzIjpbIjUiXX0.hKae0OSmb0xNf6vDaqG"   \
    "Yk0I6_e_FTpFyJxswobOGBJ4"

/* user 2 */
#define TOKEN_OF_2                                                                                           \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIyIiwiZXhwIjozMjUwMzY3OTk5OX0.r764ZxvjShpQDS3psj_"                       \
    "YuHv0BCuFmjjucqANGHw676A"

/* user 9, an administrator */
#define TOKEN_OF_9_ADMIN                                                                                     \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI5IiwiZXhwIjozMjUwMzY3OTk5OSwic2NvcGUiOiJ0YXNrczphZG1pbiJ9."             \
    "NPLMjhO9l6X6OpW7psKx3XJbzQCC1uU7G67bqP2kT0c"

/* user 1, until 2001 */
#define TOKEN_EXPIRED                                                                                        \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIiwiZXhwIjoxMDAwMDAwMDAwfQ.LIV0SCnMTOOCFgvANQAhl7pcO_"                 \
    "7gPyGMQ5BfNFX3oPw"

static inline struct token_keys *tokens_keys(void)
{
    static const struct config config = {.jwt_secret = TOKENS_SECRET,
                                         .jwt_public_key_file = "",
                                         .jwt_kid = "",
                                         .jwt_secret_2 = "",
                                         .jwt_public_key_2_file = "",
                                         .jwt_kid_2 = "",
                                         .jwt_audience = "",
                                         .jwt_issuer = ""};
    struct token_keys *keys = NULL;
    char why[256];
    assert_int_equal(token_keys_new(&config, &keys, why, sizeof why), ERR_OK);
    return keys;
}

#endif
