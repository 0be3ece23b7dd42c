-- wrk script: one distinct alert (or BATCH of them) per request, for Alertmanager's API or for our webhook.
-- environment: TARGET = alertmanager | firing | resolved, BATCH, RUN (a word that makes this run's alerts distinct)
local target = os.getenv("TARGET")
local batch = tonumber(os.getenv("BATCH"))
local run = os.getenv("RUN")
local n = 0
local path = target == "alertmanager" and "/api/v2/alerts" or "/webhook"
local state = target == "resolved" and "resolved" or "firing"
local ends = target == "resolved" and "2026-11-24T10:45:00Z" or "0001-01-01T00:00:00Z"

local function alert()
	n = n + 1
	local labels = string.format('{"alertname":"BenchErrors","instance":"10.0.0.1:9100","job":"bench","namespace":"shop","pod":"%s-%d","severity":"warning"}', run, n)
	local notes = '{"summary":"errors of the bench are too high","description":"more than five percent of the requests fail"}'
	if target == "alertmanager" then
		return string.format('{"labels":%s,"annotations":%s,"generatorURL":"http://prometheus/graph"}', labels, notes)
	end
	return string.format('{"status":"%s","labels":%s,"annotations":%s,"startsAt":"2026-11-24T10:40:00Z","endsAt":"%s","generatorURL":"http://prometheus/graph","fingerprint":""}', state, labels, notes, ends)
end

function request()
	local alerts = {}
	for i = 1, batch do alerts[i] = alert() end
	local body = "[" .. table.concat(alerts, ",") .. "]"
	if target ~= "alertmanager" then
		body = '{"version":"4","status":"' .. state .. '","receiver":"bench","groupKey":"{}","groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"","truncatedAlerts":0,"alerts":' .. body .. '}'
	end
	return wrk.format("POST", path, {["Content-Type"] = "application/json"}, body)
end

function done(summary, latency)
	io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
		latency:percentile(50), latency:percentile(99),
		summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
