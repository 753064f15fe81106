# The one line that says what runs, and its figures, which group and load balancer must fit.

locals {
  keys = merge(
    {
      image         = var.image
      port          = var.port == var.instance_port ? tostring(var.port) : "${var.instance_port}:${var.port}"
      health        = var.health
      secrets       = join(",", var.secrets)
      target_groups = join(",", var.target_groups)
    },
    var.keys,
  )
  # The most important keys, then the rest.
  order = concat(
    ["image", "port", "health"],
    length(var.secrets) == 0 ? [] : ["secrets"],
    local.registers ? ["target_groups"] : [],
    sort(keys(var.keys)),
  )

  # Quoting of a shell: between ' every character is literal except ', which is written '\''.
  words = [
    for key in local.order : format("%s=%s", key,
      can(regex("^[A-Za-z0-9_./:@,=+-]+$", local.keys[key]))
      ? local.keys[key]
      : "'${replace(local.keys[key], "'", "'\\''")}'"
    )
  ]

  # The first line is for cloud-init, which reads the second as a comment and logs no warning.
  user_data = "#cloud-config\n#berth ${join(" ", local.words)}\n"

  # berth's defaults for keys that are not given, in its own spelling.
  durations = {
    for key, default in {
      "boot.timeout"  = "10m"
      "drain.settle"  = "20s"
      "drain.timeout" = "300s"
      "stop_timeout"  = "30s"
    } : key => lookup(var.keys, key, default)
  }
  seconds = {
    for key, text in local.durations : key => ceil(sum(concat([0], [
      for part in regexall("([0-9]+)(ms|s|m|h)", text) :
      tonumber(part[0]) * { ms = 0.001, s = 1, m = 60, h = 3600 }[part[1]]
    ])))
  }

  # The port of /ready.
  readiness_port = tonumber(regex("([0-9]+)$", lookup(var.keys, "listen", "0.0.0.0:9911"))[0])

  # The time until the load balancer has noticed that /ready answers 503.
  check_interval = 5
  check_timeout  = 2
  noticed_after  = var.unhealthy_threshold * local.check_interval + local.check_timeout

  # The hooks' timeouts without a heartbeat: a whole boot; a whole drain, the engine's time beyond stop_timeout, and the
  # calls after that. A hook accepts 30 s to 2 h.
  launch_timeout      = min(7200, max(30, local.seconds["boot.timeout"]))
  termination_timeout = min(7200, max(30, local.seconds["drain.settle"] + local.seconds["drain.timeout"] + local.seconds["stop_timeout"] + 70))
}
