#!/bin/sh
# Writes Alertmanager's configuration to the file $1, from the variables of .env, and starts Alertmanager with it.
# If deploy/prometheus/alertmanager.yaml exists, that is used instead.
set -eu
umask 077
own=/etc/tocsin/alertmanager.yaml

quoted() {
    printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"
}

webhook() {
    printf '    webhook_configs:\n      - url: %s\n' "$(quoted "$1")"
}

mail() {
    printf '    email_configs:\n      - to: %s\n        from: %s\n        smarthost: %s\n        send_resolved: true\n' \
        "$(quoted "$TOCSIN_ALERT_EMAIL")" "$(quoted "$TOCSIN_ALERT_FROM")" "$(quoted "$TOCSIN_ALERT_SMTP")"
    # Alertmanager encrypts from the start on port 465; `require_tls` is about STARTTLS.
    case "$TOCSIN_ALERT_SMTP_TLS" in starttls) echo '        require_tls: true' ;; *) echo '        require_tls: false' ;; esac
    if [ -n "${TOCSIN_ALERT_SMTP_USERNAME:-}" ]; then
        printf '        auth_username: %s\n' "$(quoted "$TOCSIN_ALERT_SMTP_USERNAME")"
        printf '        auth_password: %s\n' "$(quoted "${TOCSIN_ALERT_SMTP_PASSWORD:-}")"
    fi
}

config() {
    cat <<'END'
route:
  receiver: people
  group_by: [alertname, job]
  group_wait: 10s
  group_interval: 2m
  repeat_interval: 4h
  routes:
    - matchers: [alertname="Watchdog"]
      receiver: watchdog
      group_interval: 1m
      repeat_interval: 1m
    - matchers: [severity="info"]
      receiver: nobody
    - matchers: [severity="warning"]
      repeat_interval: 1d
inhibit_rules:
  - source_matchers: [alertname="DiskAlmostFull"]
    target_matchers: [alertname="DiskFilling"]
    equal: [job]
receivers:
  - name: nobody
END
    echo '  - name: people'
    if [ -n "${TOCSIN_ALERT_EMAIL:-}" ]; then mail; fi
    if [ -n "${TOCSIN_ALERT_WEBHOOK:-}" ]; then webhook "$TOCSIN_ALERT_WEBHOOK"; fi
    echo '  - name: watchdog'
    if [ -n "${TOCSIN_WATCHDOG_URL:-}" ]; then webhook "$TOCSIN_WATCHDOG_URL"; fi
}

if [ -e "$own" ]; then
    file=$own
else
    file=$1
    config > "$file"
    if [ -z "${TOCSIN_ALERT_EMAIL:-}${TOCSIN_ALERT_WEBHOOK:-}" ]; then
        echo "Alerts reach nobody: set TOCSIN_ALERT_EMAIL or TOCSIN_ALERT_WEBHOOK in .env." >&2
    fi
fi
exec alertmanager --config.file="$file" --storage.path=/alertmanager --cluster.listen-address=
