"""The baseline of the intake benchmark: FastAPI reads a ticket as a pydantic model and responds."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Contact(BaseModel):
    name: str
    email: str


class Customer(BaseModel):
    id: str
    name: str


class Ticket(BaseModel):
    source: str
    external_id: str
    severity: int
    summary: str
    description: str
    affected_services: list[str]
    contact: Contact
    customer: Customer


@app.post("/v1/tickets", status_code=201)
async def post(ticket: Ticket) -> dict[str, str]:
    return {"external_id": ticket.external_id}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
