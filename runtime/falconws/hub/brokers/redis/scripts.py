"""The Lua scripts of the Redis broker: each is atomic, and touches the keys of one room only.

Keys of a room, all in one hash slot::

    {room}:meta     hash  e (epoch), o (offset of the newest publication), n and a (the history's limits, if a hub has
                    set them), and marks of repeated publications
    {room}:log      stream, one entry a publication; its id is the offset
    {room}:devices  hash, process and device -> when it was updated, member, info
    {room}:members  hash, member -> its devices, the one that was updated last at the end

Keys of all processes, in one hash slot::

    {presence}:processes     sorted set, a live process each, scored by when its lease ends
    {presence}:dead          sorted set, a process whose devices have to be removed each, scored by when the claim of
                             the process that removes them ends
    {presence}:at:PROCESS    hash, device -> room, member
    {presence}:of:MEMBER     set of process, device, room

Keys of ``{%probe}`` belong to no room: ``health()`` writes one of each kind to find out whether scripts may write.

An offset is the server's time in microseconds, or the previous offset plus one if that is greater. So a server that has
lost its last writes (a failover, a crash without fsync) does not give the same offset to another publication. Each
entry names the offset of the one before it; by that, not by counting, a reader knows whether it has all of them.

While a slot migrates to another node of a cluster, a script runs only where all of its keys are. So marks have no keys
of their own, and a room that has a log accepts publications all the time.
"""

from __future__ import annotations

__all__ = (
    "ANY_DEAD",
    "BROADCAST",
    "CLAIM",
    "CLAIM_MESSAGE",
    "COUNT",
    "END",
    "HISTORY",
    "JOIN",
    "LEAVE",
    "LIVE",
    "PROBE",
    "PUBLISH",
    "REGISTER",
    "REMOVED",
    "RENEW",
    "ROOMS_OF",
    "TOP",
    "UNPACKED",
    "UNREGISTER",
)

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
  return epoch, top, most, age
end
-- A room that was only visited is forgotten sooner.
local function keep(top, age)
  local ttl = math.max(tonumber(ARGV[2]), 2 * age / 1000)
  if top == '0' then ttl = math.max(age / 1000, tonumber(ARGV[4]) / 1000, 60000) end
  redis.call('PEXPIRE', KEYS[1], int(ttl))
end
"""
)

PROBE = """
-- KEYS of each kind, ARGV channel: what publishing and presence write
redis.call('SET', KEYS[1], '')
redis.call('HSET', KEYS[2], 'e', '')
redis.call('XADD', KEYS[3], 'MAXLEN', '=', 1, '*', 'p', '')
redis.call('HSET', KEYS[4], 'd', '')
redis.call('ZADD', KEYS[5], 0, 'p')
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 60000) end
redis.call('SPUBLISH', ARGV[1], '')
"""

PUBLISH = (
    _ROOM
    + """
-- ARGV ..., channel, excluded subscription ('-' for none), us before the first attempt ('' for the first), and for each
-- message: nonce, kind, payload, key ('=' before it; '' for none). Returns their positions; false for one that may have
-- been published.
local channel, exclude, since = ARGV[6], ARGV[7], tonumber(ARGV[8])
local epoch, top, most, age
local time = now()
-- Positions of what was published since then, by nonce; and whether some of it may have been removed.
local earlier, is_incomplete
local function find_earlier()
  earlier = {}
  if tonumber(top) <= since then return end
  local entries = redis.call('XREVRANGE', KEYS[2], '+', int(since))
  for _, entry in ipairs(entries) do earlier[entry[2][2]] = epoch .. ' ' .. string.match(entry[1], '^%d+') end
  is_incomplete = #entries >= most or since < time - age
end
local function append(nonce, kind, payload, key)
  local mark = redis.call('HGET', KEYS[1], 'm ' .. nonce)
  if mark then return string.match(mark, '^%d+ (.*)$') end
  if not epoch then epoch, top, most, age = room() end
  if since then
    -- Has an earlier attempt succeeded, and only its answer was lost?
    if not earlier then find_earlier() end
    if earlier[nonce] then return earlier[nonce] end
    if is_incomplete then return false end
  end
  local offset = int(math.max(time, tonumber(top) + 1))
  -- The first write: a server without memory refuses this one, and none after it.
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
  if since then
    -- The lost attempt may still be in a buffer: it must not be executed after this one.
    local minute = 60000000
    redis.call('HSET', KEYS[1], 'm ' .. nonce, int(time) .. ' ' .. position)
    if time - (tonumber(redis.call('HGET', KEYS[1], 's') or 0) or 0) > minute then
      -- After an outage there are many marks: old ones are removed once a minute.
      redis.call('HSET', KEYS[1], 's', int(time))
      local fields = redis.call('HGETALL', KEYS[1])
      for index = 1, #fields, 2 do
        local marked = string.match(fields[index], '^m ') and string.match(fields[index + 1], '^%d+')
        if marked and time - tonumber(marked) > minute then redis.call('HDEL', KEYS[1], fields[index]) end
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
if epoch then keep(top, age) end
if epoch and most > 0 then
  redis.call('XTRIM', KEYS[2], 'MINID', '=', int(time - age))
  redis.call('PEXPIRE', KEYS[2], int(age / 1000))
end
return positions
"""
)

CLAIM_MESSAGE = """
-- KEYS claim; ARGV claimant, ms for which it is kept
local claimant = redis.call('GET', KEYS[1])
if claimant then return claimant == ARGV[1] and 1 or 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

BROADCAST = "return redis.call('SPUBLISH', ARGV[1], ARGV[2])"

TOP = (
    _ROOM
    + """
local epoch, top, _, age = room()
keep(top, age)
return {epoch, top}
"""
)

HISTORY = (
    _ROOM
    + """
-- ARGV ..., since: epoch, offset
local epoch, top, _, age = room()
keep(top, age)
local since = tonumber(ARGV[7])
local known = epoch == ARGV[6] and since <= tonumber(top)
if not known then since = 0 end
if known and since == tonumber(top) then return {epoch, top, 1, {}} end
local from = math.max(since + 1, now() - age)
return {epoch, top, known and 1 or 0, redis.call('XRANGE', KEYS[2], int(from), top)}
"""
)

_PRESENCE = """
-- A string of parts, each behind its size.
local function unpack_parts(data)
  local parts, position = {}, 1
  while position <= #data do
    local size, first = string.match(data, '^(%d+):()', position)
    if not size then break end
    parts[#parts + 1] = string.sub(data, first, first + size - 1)
    position = first + size
  end
  return parts
end
local function pack_parts(parts)
  local packed = {}
  for _, part in ipairs(parts) do
    packed[#packed + 1] = #part .. ':'
    packed[#packed + 1] = part
  end
  return table.concat(packed)
end
"""

_DEVICES = (
    _COMMON
    + _PRESENCE
    + """
-- KEYS devices, members
local function parse(value)
  local size, rest = string.match(value or '', '^%d+ (%d+):(.*)$')
  -- Not an entry of another program.
  if not size then return nil end
  return string.sub(rest, 1, size), string.sub(rest, size + 1)
end
local function without(list, device)
  local rest = {}
  for _, other in ipairs(list) do
    if other ~= device then rest[#rest + 1] = other end
  end
  return rest
end
local function push(channel, kind, devices, member, info)
  redis.call('SPUBLISH', channel, kind .. ' ' .. devices .. ' ' .. #member .. '\\n' .. member .. info)
end
"""
)

JOIN = (
    _DEVICES
    + """
-- ARGV channel, device, member, info
local channel, device, member, info = unpack(ARGV)
local known, before = parse(redis.call('HGET', KEYS[1], device))
local list = without(unpack_parts(redis.call('HGET', KEYS[2], member) or ''), device)
list[#list + 1] = device
redis.call('HSET', KEYS[1], device, int(now()) .. ' ' .. #member .. ':' .. member .. info)
redis.call('HSET', KEYS[2], member, pack_parts(list))
if known == member and before == info then return end
push(channel, (#list == 1 and known ~= member) and 'j' or 'u', #list, member, info)
"""
)

LEAVE = (
    _DEVICES
    + """
-- ARGV channel, devices...
for index = 2, #ARGV do
  local device = ARGV[index]
  local member = parse(redis.call('HGET', KEYS[1], device))
  redis.call('HDEL', KEYS[1], device)
  if member then
    local list = without(unpack_parts(redis.call('HGET', KEYS[2], member) or ''), device)
    if #list == 0 then
      redis.call('HDEL', KEYS[2], member)
      push(ARGV[1], 'l', 0, member, '')
    else
      redis.call('HSET', KEYS[2], member, pack_parts(list))
      local _, info = parse(redis.call('HGET', KEYS[1], list[#list]))
      push(ARGV[1], 'u', #list, member, info or 'null')
    end
  end
end
"""
)

UNPACKED = (
    _PRESENCE
    + """
-- All fields and values of a hash in one string: a client reads that faster than many small ones.
return pack_parts(redis.call('HGETALL', KEYS[1]))
"""
)

COUNT = "return redis.call('HLEN', KEYS[1])"

RENEW = (
    _COMMON
    + """
-- KEYS processes; ARGV process, lease us, whether it is a new process
if ARGV[3] == '0' and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], int(now() + tonumber(ARGV[2])), ARGV[1])
return 1
"""
)

REGISTER = """
-- KEYS processes, the process's devices, the member's devices
-- ARGV process, device, room and member packed, process and device and room packed
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('SADD', KEYS[3], ARGV[4])
return 1
"""

UNREGISTER = """
-- KEYS the process's devices, the member's devices of each; ARGV device of each, process and device and room of each
local count = #ARGV / 2
for index = 1, count do
  redis.call('HDEL', KEYS[1], ARGV[index])
  redis.call('SREM', KEYS[index + 1], ARGV[count + index])
end
"""

CLAIM = (
    _COMMON
    + """
-- KEYS processes, dead processes by when their claim ends; ARGV claim us
local time = now()
for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(time))) do
  redis.call('ZREM', KEYS[1], process)
  redis.call('ZADD', KEYS[2], 0, process)
end
local claimed = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', int(time))
for _, process in ipairs(claimed) do redis.call('ZADD', KEYS[2], int(time + tonumber(ARGV[1])), process) end
return claimed
"""
)

END = (
    _COMMON
    + """
-- KEYS processes, dead processes; ARGV process, claim us
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], int(now() + tonumber(ARGV[2])), ARGV[1])
"""
)

REMOVED = """
-- KEYS dead processes, the process's devices; ARGV process
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
"""

LIVE = (
    _COMMON
    + """
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. int(now()), '+inf')
"""
)

ANY_DEAD = (
    _COMMON
    + """
return redis.call('ZCOUNT', KEYS[1], '-inf', int(now())) + redis.call('ZCARD', KEYS[2])
"""
)

ROOMS_OF = "return redis.call('SMEMBERS', KEYS[1])"
