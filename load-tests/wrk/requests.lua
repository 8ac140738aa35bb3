-- One request after the other, each with the next token of a file. Prints what happened as one JSON line.
--   wrk … -s requests.lua -- METHOD BODY_BYTES [TOKEN_FILE [DELAY]]      DELAY: milliseconds between an answer and the next request
local requests = {}
local next_request = 0
local pause = 0

function init(args)
  local method = args[1] or "GET"
  local body_bytes = tonumber(args[2] or "0")
  local body = nil
  if body_bytes > 0 then body = string.rep("x", body_bytes) end
  local tokens = {}
  if args[3] then
    for line in io.lines(args[3]) do tokens[#tokens + 1] = line end
  end
  if #tokens == 0 then tokens[1] = "" end
  pause = tonumber(args[4] or "0")
  if pause > 0 then
    -- Whole milliseconds only: the rest is made up for on average. Without a pause the function must not exist.
    delay = function() return math.floor(pause + math.random()) end
  end
  for i = 1, #tokens do
    local headers = { ["User-Agent"] = "wrk", ["Accept"] = "*/*" }
    if tokens[i] ~= "" then headers["Authorization"] = "Bearer " .. tokens[i] end
    requests[i] = wrk.format(method, nil, headers, body)
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency, _)
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"bytes":%d,"errors_status":%d,"errors_connect":%d,"errors_read":%d,"errors_write":%d,"errors_timeout":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.duration, summary.bytes, summary.errors.status, summary.errors.connect, summary.errors.read,
    summary.errors.write, summary.errors.timeout, latency:percentile(50), latency:percentile(99)))
end
