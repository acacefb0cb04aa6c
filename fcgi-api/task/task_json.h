/* SPDX-License-Identifier: MIT */
/* A task as JSON text, the same bytes in every answer and event:
 * {"id":1,"user_id":1,"status":1,"content":"...","createdAt":"...Z","completedAt":null} */
#ifndef CARILLON_TASK_TASK_JSON_H
#define CARILLON_TASK_TASK_JSON_H

#include "common/strbuf.h"
#include "fcgi-api/task/task.h"

void task_json_add(struct strbuf *out, const struct task *task);

#endif
