-- Creates a role and a database for each service when the data folder is new. The passwords come from the environment.
\getenv intake_password INTAKE_DATABASE_PASSWORD
\getenv sla_timer_password SLA_TIMER_DATABASE_PASSWORD
\getenv escalator_password ESCALATOR_DATABASE_PASSWORD
\getenv notifier_password NOTIFIER_DATABASE_PASSWORD
\getenv board_password BOARD_DATABASE_PASSWORD

CREATE ROLE intake LOGIN PASSWORD :'intake_password';
CREATE ROLE sla_timer LOGIN PASSWORD :'sla_timer_password';
CREATE ROLE escalator LOGIN PASSWORD :'escalator_password';
CREATE ROLE notifier LOGIN PASSWORD :'notifier_password';
CREATE ROLE board LOGIN PASSWORD :'board_password';

-- An open write transaction holds back the watermark, so idle ones are ended.
ALTER ROLE intake SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE sla_timer SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE escalator SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE notifier SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE board SET idle_in_transaction_session_timeout = '5s';

CREATE DATABASE intake OWNER intake;
CREATE DATABASE sla_timer OWNER sla_timer;
CREATE DATABASE escalator OWNER escalator;
CREATE DATABASE notifier OWNER notifier;
CREATE DATABASE board OWNER board;

REVOKE CONNECT ON DATABASE intake, sla_timer, escalator, notifier, board FROM PUBLIC;
