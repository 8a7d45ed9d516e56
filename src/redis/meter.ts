// The law of quotas, in TypeScript and in Lua: a test holds the two together.

/** What is used of a quota, and when that was; `used` falls evenly with time. */
export interface Meter {
  readonly used: number;
  readonly atMicros: number;
}

export interface Pace {
  readonly limit: number;
  /** Units that come back in a microsecond. */
  readonly perMicro: number;
}

/** So many units, in whole steps; below zero they are given back. */
export interface MeterRun {
  readonly units: number;
  readonly step: number;
}

/**
 * The generic cell rate algorithm, kept as the units used rather than as the time when all are back:
 * microseconds since 1970 fill a double, and many units a second would be lost in its rounding.
 */
export function takeFrom(
  meter: Meter | null,
  nowMicros: number,
  { limit, perMicro }: Pace,
  { units, step }: MeterRun,
): { readonly given: number; readonly meter: Meter } {
  const elapsed = meter === null ? 0 : Math.max(0, nowMicros - meter.atMicros);
  const used = Math.max(0, Math.min(meter?.used ?? 0, limit) - elapsed * perMicro);
  if (units < 0) {
    return { given: 0, meter: { used: Math.max(0, used + units), atMicros: nowMicros } };
  }
  const steps = Math.max(0, Math.floor((limit - used) / step));
  const given = Math.min(units, steps * step);
  return { given, meter: { used: Math.min(limit, used + given), atMicros: nowMicros } };
}

/**
 * `takeFrom` for many meters, in turn. Of each key it takes `limit perMicro runs`, then `units step`
 * of each run, and answers `given used` of each run. What is no meter counts as unused; a refused
 * take is written, too, so that a clock that was set back does not stop the units from coming back.
 */
export const TAKE_UNITS = `
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local answers = {}
  local place = 1
  for _, key in ipairs(KEYS) do
    local limit, perMicro = tonumber(ARGV[place]), tonumber(ARGV[place + 1])
    local runs = tonumber(ARGV[place + 2])
    place = place + 3
    local kept = redis.pcall('GET', key)
    local used, at
    if type(kept) == 'string' then
      used, at = string.match(kept, '^(%S+) (%S+)$')
      used, at = tonumber(used), tonumber(at)
    end
    if not (used and at and used >= 0 and at >= 0) then
      used, at = 0, now
    end
    used = math.max(0, math.min(used, limit) - math.max(0, now - at) * perMicro)
    for _ = 1, runs do
      local units, step = tonumber(ARGV[place]), tonumber(ARGV[place + 1])
      place = place + 2
      local given = 0
      if units < 0 then
        used = math.max(0, used + units)
      else
        local steps = math.max(0, math.floor((limit - used) / step))
        given = math.min(units, steps * step)
        used = math.min(limit, used + given)
      end
      answers[#answers + 1] = string.format('%.17g', given)
      answers[#answers + 1] = string.format('%.17g', used)
    end
    if used > 0 then
      local fullMs = string.format('%.0f', math.ceil(used / perMicro / 1000) + 1)
      redis.call('SET', key, string.format('%.17g %.0f', used, now), 'PX', fullMs)
    else
      redis.call('DEL', key)
    end
  end
  return answers`;
