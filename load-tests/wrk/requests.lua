-- One request after the other, each with the next credential of a file. Prints what happened as one JSON line.
--   wrk … -s requests.lua -- [NAME=VALUE]...
--     method=GET           of every request
--     body=0               bytes of its body
--     credentials=FILE     one per line: a bearer token, or a whole field ("Cookie: a=b"); none: requests without
--     order=turns          or random: drawn uniformly, anew for each request
--     paths=/a,/b          they take turns; the URL's own without
--     delay=0              milliseconds between an answer and the next request
local settings = { method = "GET", body = "0", order = "turns", delay = "0" }
local heads, fields, tail = {}, {}, nil
local requests -- whole ones, where all have the same head: putting a million together under way costs the load's core as much as the rest of wrk
local turn = 0

local function field_of(line)
  if line:find(": ", 1, true) then return line .. "\r\n" end
  return "Authorization: Bearer " .. line .. "\r\n"
end

function init(args)
  for _, argument in ipairs(args) do
    local name, value = argument:match("^(%w+)=(.*)$")
    if not name then error("not NAME=VALUE: " .. argument) end
    settings[name] = value
  end
  local paths = {}
  for path in (settings.paths or wrk.path):gmatch("[^,]+") do paths[#paths + 1] = path end
  for i, path in ipairs(paths) do
    heads[i] = settings.method .. " " .. path .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\nUser-Agent: wrk\r\nAccept: */*\r\n"
  end
  local body_bytes = tonumber(settings.body)
  tail = body_bytes > 0 and "Content-Length: " .. body_bytes .. "\r\n\r\n" .. string.rep("x", body_bytes) or "\r\n"
  if settings.credentials then
    for line in io.lines(settings.credentials) do fields[#fields + 1] = field_of(line) end
  end
  if #fields == 0 then fields[1] = "" end
  if #heads == 1 then
    requests, fields = fields, nil
    for i = 1, #requests do requests[i] = heads[1] .. requests[i] .. tail end
  end
  math.randomseed(os.time())
  local pause = tonumber(settings.delay)
  if pause > 0 then
    -- Whole milliseconds only: the rest is made up for on average. Without a pause the function must not exist.
    delay = function() return math.floor(pause + math.random()) end
  end
end

local function choose(count)
  return settings.order == "random" and math.random(count) or turn % count + 1
end

function request()
  turn = turn + 1
  if requests then return requests[choose(#requests)] end
  return heads[turn % #heads + 1] .. fields[choose(#fields)] .. tail
end

function done(summary, latency, _)
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"bytes":%d,"errors_status":%d,"errors_connect":%d,"errors_read":%d,"errors_write":%d,"errors_timeout":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.duration, summary.bytes, summary.errors.status, summary.errors.connect, summary.errors.read,
    summary.errors.write, summary.errors.timeout, latency:percentile(50), latency:percentile(99)))
end
