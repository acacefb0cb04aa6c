/* SPDX-License-Identifier: MIT */
/* From a body's JSON to what a client asks of a task. What is wrong goes to the field errors; then the result
 * is not to be used. Texts in the result belong to the JSON. */
#ifndef CARILLON_API_TASK_INPUT_H
#define CARILLON_API_TASK_INPUT_H

#include <cjson/cJSON.h>

#include "fcgi-api/http/field_errors.h"
#include "fcgi-api/task/task.h"

void task_input_new(const cJSON *object, struct task_new *task, struct field_errors *errors);
void task_input_patch(const cJSON *object, struct task_patch *patch, struct field_errors *errors);

/* The errors of a patch that the task refuses: read-only fields with another value than the task's. */
void task_input_refuse(const struct task *task, const struct task_patch *patch, struct field_errors *errors);

#endif
