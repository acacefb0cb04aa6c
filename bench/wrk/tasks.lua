-- SPDX-License-Identifier: MIT
-- Requests for wrk, made before the clock starts and drawn at random; ends with one JSON object.
--   one  TASKS                     GET /tasks/{id}, random in 1..TASKS
--   page USERS TASKS_EACH DEEP     GET /tasks?user_id=&limit=20: the first page, or the one after DEEP percent
--                                  of the user's tasks (task k belongs to user (k - 1) % USERS + 1)
--   anywhere USERS TASKS_EACH      a page that begins anywhere
local requests = {}

function init(args)
  local kind, a, b, c = args[1], tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  math.randomseed(1)
  for i = 1, 5000 do
    local path
    if kind == "one" then
      path = "/tasks/" .. math.random(a)
    else
      local user, after = math.random(a), 0
      if kind == "anywhere" then after = math.random(0, b - 21) * a end
      if kind == "page" and c > 0 then after = math.floor(b * c / 100) * a end
      path = "/tasks?user_id=" .. user .. "&limit=20" .. (after > 0 and "&after=" .. after or "")
    end
    requests[i] = wrk.format("GET", path)
  end
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'JSON {"requests":%d,"seconds":%.3f,"per_second":%.1f,"bytes":%d,"bad_status":%d,"socket_errors":%d,' ..
    '"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, summary.requests / summary.duration * 1e6, summary.bytes, e.status,
    e.connect + e.read + e.write + e.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
