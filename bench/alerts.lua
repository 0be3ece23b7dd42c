-- wrk script: the requests of a template (bench/alert.h): @N@ is the alert's number, @+@ goes on to the next one.
-- environment: TEMPLATE (a file), URL_PATH, FIRST (number of the first alert)
local file = assert(io.open(os.getenv("TEMPLATE")))
local text = file:read("*a")
file:close()
local n = tonumber(os.getenv("FIRST"))
local head = "POST " .. os.getenv("URL_PATH") .. " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "

-- pieces of text with a place for a number between them; step[i]: the number grows behind piece i
local pieces, step, places = {}, {}, {}
local at = 1
while true do
	local from, to, mark = text:find("@([N+])@", at)
	pieces[#pieces + 1] = text:sub(at, from and from - 1)
	if not from then break end
	pieces[#pieces + 1] = ""
	if mark == "N" then places[#places + 1] = #pieces else step[#pieces] = true end
	at = to + 1
end
local order = {}
for i = 1, #pieces do
	if step[i] then order[#order + 1] = 0 end
	for _, p in ipairs(places) do if p == i then order[#order + 1] = i end end
end

function request()
	for _, i in ipairs(order) do
		if i == 0 then n = n + 1 else pieces[i] = n end
	end
	n = n + 1
	local body = table.concat(pieces)
	return head .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
	io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
		latency:percentile(50), latency:percentile(99),
		summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
