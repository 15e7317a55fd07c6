"""The Lua scripts of the Redis broker: each is atomic, and touches the keys of one room only.

Keys of a room, all in one hash slot::

    {room}:meta     hash  e (epoch), o (offset of the newest publication), n and a (the history's limits, if a hub has
                    set them), and marks of repeated publications
    {room}:log      stream, one entry a publication; its id is the offset
    {room}:leases   sorted set, a device of a member each, scored by when its lease ends
    {room}:members  hash, member -> info
    {room}:devices  hash, member -> number of devices

``{probe}:probe`` belongs to no room: ``health()`` writes it to find out whether scripts may write.

An offset is the server's time in microseconds, or the previous offset plus one if that is greater. So a server that has
lost its last writes (a failover, a crash without fsync) does not give the same offset to another publication. Each
entry names the offset of the one before it; by that, not by counting, a reader knows whether it has all of them.

While a slot migrates to another node of a cluster, a script runs only where all of its keys are. So marks have no keys
of their own, and a room that has a log accepts publications all the time.
"""

from __future__ import annotations

__all__ = ("BROADCAST", "EXPIRE", "HISTORY", "JOIN", "LEAVE", "MEMBERS", "PROBE", "PUBLISH", "RENEW", "TOP")

_COMMON = """
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function int(number)
  return string.format('%.0f', number)
end
"""

_ROOM = (
    _COMMON
    + """
-- KEYS meta, log
-- ARGV epoch for a new room, room ttl ms, maximum entries, age us, whether a hub has set these two limits ('1'), ...
local function room()
  local meta = redis.call('HMGET', KEYS[1], 'e', 'o', 'n', 'a')
  local epoch, top, most, age = meta[1], meta[2], tonumber(meta[3] or nil), tonumber(meta[4] or nil)
  if not string.match(epoch or '', '^%w+$') or not string.match(top or '', '^%d+$') then
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[1], 'e', ARGV[1], 'o', '0')
    epoch, top = ARGV[1], '0'
  end
  local given_most, given_age = tonumber(ARGV[3]), tonumber(ARGV[4])
  if ARGV[5] == '1' and (most ~= given_most or age ~= given_age) then
    redis.call('HSET', KEYS[1], 'n', ARGV[3], 'a', ARGV[4])
    most, age = given_most, given_age
  end
  most, age = most or given_most, age or given_age
  redis.call('PEXPIRE', KEYS[1], int(math.max(tonumber(ARGV[2]), 2 * age / 1000)))
  return epoch, top, most, age
end
"""
)

PROBE = "return redis.call('SET', KEYS[1], '', 'PX', 60000)"

PUBLISH = (
    _ROOM
    + """
-- ARGV ..., channel, excluded subscription ('-' for none), us since the first attempt ('' for the first), and for each
-- message: nonce, kind, payload, key ('=' before it; '' for none). Returns their positions; false for one that may have
-- been published.
local channel, exclude, elapsed = ARGV[6], ARGV[7], ARGV[8]
local epoch, top, most, age
local time = now()
local function append(nonce, kind, payload, key)
  local mark = redis.call('HGET', KEYS[1], 'm ' .. nonce)
  if mark then return string.match(mark, '^%d+ (.*)$') end
  if not epoch then epoch, top, most, age = room() end
  if elapsed ~= '' then
    -- Has an earlier attempt succeeded, and only its answer was lost?
    local since = time - tonumber(elapsed)
    if tonumber(top) > since then
      local entries = redis.call('XREVRANGE', KEYS[2], '+', int(since))
      for _, entry in ipairs(entries) do
        if entry[2][2] == nonce then
          return epoch .. ' ' .. string.match(entry[1], '^%d+')
        end
      end
      if #entries >= most then return false end
    end
  end
  local offset = int(math.max(time, tonumber(top) + 1))
  redis.call('HSET', KEYS[1], 'o', offset)
  if most > 0 then
    local entry = {
      'XADD', KEYS[2], 'MAXLEN', '=', int(most), offset .. '-0', 'n', nonce, 'p', top, 't', kind, 'd', payload
    }
    if key then
      entry[#entry + 1] = 'k'
      entry[#entry + 1] = key
    end
    if exclude ~= '-' then
      entry[#entry + 1] = 'x'
      entry[#entry + 1] = exclude
    end
    local added = redis.pcall(unpack(entry))
    if type(added) == 'table' and added.err then
      -- Another program has written to the key, or an entry is from the future.
      redis.call('DEL', KEYS[2])
      redis.call(unpack(entry))
    end
  end
  redis.call('SPUBLISH', channel, table.concat({
    'm ', epoch, ' ', offset, ' ', top, ' ', kind, ' ', key and #key or '-', ' ', exclude, '\\n', key or '', payload
  }))
  local position = epoch .. ' ' .. offset
  if elapsed ~= '' then
    -- The lost attempt may still be in a buffer: it must not be executed after this one.
    local minute = 60000000
    redis.call('HSET', KEYS[1], 'm ' .. nonce, int(time) .. ' ' .. position)
    if time - (tonumber(redis.call('HGET', KEYS[1], 's') or 0) or 0) > minute then
      -- After an outage there are many marks: old ones are removed once a minute.
      redis.call('HSET', KEYS[1], 's', int(time))
      local fields = redis.call('HGETALL', KEYS[1])
      for index = 1, #fields, 2 do
        local since = string.match(fields[index], '^m ') and string.match(fields[index + 1], '^%d+')
        if since and time - tonumber(since) > minute then redis.call('HDEL', KEYS[1], fields[index]) end
      end
    end
  end
  top = offset
  return position
end
local positions = {}
for index = 9, #ARGV, 4 do
  local key = ARGV[index + 3]
  key = key ~= '' and string.sub(key, 2) or nil
  positions[#positions + 1] = append(ARGV[index], ARGV[index + 1], ARGV[index + 2], key)
end
if epoch and most > 0 then
  redis.call('XTRIM', KEYS[2], 'MINID', '=', int(time - age))
  redis.call('PEXPIRE', KEYS[2], int(age / 1000))
end
return positions
"""
)

BROADCAST = "return redis.call('SPUBLISH', ARGV[1], ARGV[2])"

TOP = (
    _ROOM
    + """
local epoch, top = room()
return {epoch, top}
"""
)

HISTORY = (
    _ROOM
    + """
-- ARGV ..., since: epoch, offset
local epoch, top, _, age = room()
local since = tonumber(ARGV[7])
local known = epoch == ARGV[6] and since <= tonumber(top)
if not known then since = 0 end
if known and since == tonumber(top) then return {epoch, top, 1, {}} end
local from = math.max(since + 1, now() - age)
return {epoch, top, known and 1 or 0, redis.call('XRANGE', KEYS[2], int(from), top)}
"""
)

_PRESENCE = (
    _COMMON
    + """
-- KEYS leases, members, devices
local function member(entry)
  local size, rest = string.match(entry, '^(%d+):(.*)$')
  -- Not an entry of another program.
  return size and string.sub(rest, 1, size)
end
local function remove(entry, channel)
  local name = member(entry)
  if not name then return nil end
  if redis.call('HINCRBY', KEYS[3], name, -1) > 0 then return nil end
  redis.call('HDEL', KEYS[3], name)
  redis.call('HDEL', KEYS[2], name)
  redis.call('SPUBLISH', channel, 'l\\n' .. name)
  return name
end
local function sweep(channel)
  local gone = {}
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(now()))) do
    redis.call('ZREM', KEYS[1], entry)
    gone[#gone + 1] = remove(entry, channel)
  end
  return gone
end
"""
)

JOIN = (
    _PRESENCE
    + """
-- ARGV channel, room ttl ms, lease us, entry, info
sweep(ARGV[1])
local name = member(ARGV[4])
local first = 0
if redis.call('ZADD', KEYS[1], int(now() + tonumber(ARGV[3])), ARGV[4]) == 1 then
  if redis.call('HINCRBY', KEYS[3], name, 1) == 1 then first = 1 end
end
redis.call('HSET', KEYS[2], name, ARGV[5])
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[2]) end
if first == 1 then redis.call('SPUBLISH', ARGV[1], 'j ' .. #name .. '\\n' .. name .. ARGV[5]) end
return first
"""
)

LEAVE = (
    _PRESENCE
    + """
-- ARGV channel, entry
if redis.call('ZREM', KEYS[1], ARGV[2]) == 1 and remove(ARGV[2], ARGV[1]) then return 1 end
return 0
"""
)

RENEW = (
    _PRESENCE
    + """
-- ARGV room ttl ms, lease us, entries...; returns the indexes, from 0, of those that are not there
local deadline = int(now() + tonumber(ARGV[2]))
local lost = {}
for index = 3, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[index]) then
    redis.call('ZADD', KEYS[1], deadline, ARGV[index])
  else
    lost[#lost + 1] = index - 3
  end
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[1]) end
return lost
"""
)

MEMBERS = (
    _PRESENCE
    + """
local found, seen = {}, {}
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. int(now()), '+inf')) do
  local name = member(entry)
  if name and not seen[name] then
    seen[name] = true
    found[#found + 1] = name
    found[#found + 1] = redis.call('HGET', KEYS[2], name) or ''
  end
end
return found
"""
)

EXPIRE = (
    _PRESENCE
    + """
-- ARGV channel
return sweep(ARGV[1])
"""
)
