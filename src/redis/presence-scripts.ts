// Who is there, as Redis keeps it: of each account a hash with `at:<place>`, when that place will have gone
// silent for too long, and since when they are online (`on`) or offline (`off`); and of all who are announced
// as online the time at which to look at them. Each script decides about an account in one step, so that of all
// nodes exactly one is told that it came or went. Times are milliseconds by the clock of Redis.

const NOW = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local function text(number) return string.format('%.0f', number) end`;

/** Keys: the due ones, then each account. Arguments: place, ttl, keep, then `user since` of each account. */
export const ATTEND = `${NOW}
  local due, place = KEYS[1], 'at:' .. ARGV[1]
  local ends, keepMs = text(now + ARGV[2]), ARGV[3]
  local answers = {}
  for index = 2, #KEYS do
    local key, userId, since = KEYS[index], ARGV[2 * index], ARGV[2 * index + 1]
    local on, hasCome = redis.call('HGET', key, 'on'), 0
    if not on then
      if since == '' or redis.call('HDEL', key, 'off') == 1 then
        on, hasCome = text(now), 1
        redis.call('HDEL', key, 'off')
      else
        on = since
      end
      redis.call('HSET', key, 'on', on)
    end
    redis.call('HSET', key, place, ends)
    redis.call('PEXPIRE', key, keepMs)
    redis.call('ZADD', due, ends, userId)
    answers[#answers + 1] = on
    answers[#answers + 1] = hasCome
  end
  return answers`;

/**
 * Keys as above. Arguments: place (none where nobody leaves), after, steady, keep, then `user since` of each
 * account. Answers of each when it went offline, or 0.
 */
export const SETTLE = `${NOW}
  local due, place, keepMs = KEYS[1], 'at:' .. ARGV[1], ARGV[4]
  local answers = {}
  for index = 2, #KEYS do
    local key, userId, since = KEYS[index], ARGV[2 * index + 1], ARGV[2 * index + 2]
    if place ~= 'at:' then
      if redis.call('HEXISTS', key, 'on') == 1 then
        if redis.call('HEXISTS', key, place) == 1 then
          redis.call('HSET', key, place, text(now + ARGV[2]))
        end
      elseif since ~= '' and redis.call('HEXISTS', key, 'off') == 0 then
        redis.call('HSET', key, 'on', since, place, text(now + ARGV[3]))
        redis.call('PEXPIRE', key, keepMs)
      end
    end
    local fields, last = redis.call('HGETALL', key), 0
    for field = 1, #fields, 2 do
      if string.sub(fields[field], 1, 3) == 'at:' then
        local ends = tonumber(fields[field + 1])
        if ends <= now then
          redis.call('HDEL', key, fields[field])
        else
          last = math.max(last, ends)
        end
      end
    end
    local wentAt = '0'
    if last > 0 then
      redis.call('ZADD', due, text(last), userId)
    elseif redis.call('ZREM', due, userId) == 1 then
      wentAt = text(now)
      redis.call('HDEL', key, 'on')
      redis.call('HSET', key, 'off', wentAt)
      redis.call('PEXPIRE', key, keepMs)
    end
    answers[#answers + 1] = wentAt
  end
  return answers`;

/** Key: the due ones. Argument: how many at most. */
export const LIST_DUE = `${NOW}
  return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, ARGV[1])`;

/** Keys: each account. Answers `isOnline since` of each; a silent place does not wait for anybody to look. */
export const FIND = `${NOW}
  local answers = {}
  for _, key in ipairs(KEYS) do
    local fields, on, off, last = redis.call('HGETALL', key), '', '', 0
    for field = 1, #fields, 2 do
      local name, value = fields[field], fields[field + 1]
      if name == 'on' then on = value
      elseif name == 'off' then off = value
      else last = math.max(last, tonumber(value)) end
    end
    local isOnline = last > now
    if last > 0 and not isOnline then off = text(last) end
    answers[#answers + 1] = isOnline and 1 or 0
    answers[#answers + 1] = isOnline and on or off
  end
  return answers`;
