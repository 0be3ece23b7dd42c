/*
 * Every cap on what grows from the outside, in one place. Bytes unless the name says otherwise.
 */
#pragma once

enum {
	LIMIT_BODY_BYTES = 1024 * 1024,        /* default of intake.max_body */
	LIMIT_HEADERS = 64,                    /* header fields of one request */
	LIMIT_JSON_DEPTH = 32,                 /* nesting of any JSON that comes in */
	LIMIT_BATCH_EVENTS = 10000,            /* events of one batch or webhook */
	LIMIT_LABELS = 128,                    /* labels (or annotations) of one alert */
	LIMIT_LABEL_NAME_BYTES = 256,
	LIMIT_LABEL_VALUE_BYTES = 4096,
	LIMIT_ANNOTATION_VALUE_BYTES = 16384,
	LIMIT_PARAMETERS_BYTES = 8192,         /* lambda_parameters (SHARED.6) */
	LIMIT_ATTRIBUTE_BYTES = 1024,          /* one CloudEvents attribute */
	LIMIT_CORRELATION_BYTES = 128,
	LIMIT_REPLY_BYTES = 4 * 1024 * 1024,   /* what we read of any peer's reply */
	LIMIT_FILE_BYTES = 4 * 1024 * 1024,    /* configuration, catalogue, payload files */
	LIMIT_TITLE_POINTS = 200,              /* ticket title, code points */
	LIMIT_TICKET_TEXT_POINTS = 4000,       /* one annotation or message on a ticket */
	LIMIT_PAUSE_MS = 3600 * 1000,          /* longest pause that a peer can ask for */
	LIMIT_DEAD_LETTER_BYTES = 64 * 1024 * 1024, /* of one kept body: as intake.max_body at most */
	LIMIT_BROKER_BODY_BYTES = 16 * 1024 * 1024, /* of one message; of a longer one only the head is kept */
	LIMIT_DEAD_LETTER_HEAD_BYTES = 4096,   /* what is kept of an oversize body (DEC-23) */
};
