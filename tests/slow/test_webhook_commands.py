"""`python -m intake hooks` on a running stack, with no variable that says where anything is."""

import asyncio
import json
import os
import subprocess
import sys
from uuid import uuid4

import httpx
from support.movable_stack import MovableStack
from support.polling import eventually
from support.webhook_recordings import RECORDED


async def hooks(stack: MovableStack, *arguments: str) -> str:
    """The output of the command in a folder whose var/ is the state of the stack, as in a checkout."""
    folder = stack.clock_file.parent / "checkout"
    folder.mkdir(exist_ok=True)
    if not (folder / "var").exists():
        (folder / "var").symlink_to(stack.stack.options.state)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    command = (sys.executable, "-m", "intake", "hooks", *arguments)
    done = await asyncio.to_thread(subprocess.run, command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_the_commands_work_on_the_running_stack_with_no_variables(
    movable_stack: MovableStack,
) -> None:
    assert (movable_stack.stack.state.folder / "environment.json").stat().st_mode & 0o077 == 0
    checked = await hooks(movable_stack, "check")
    assert "POST /v1/hooks/jira/default  generic: ready\n" in checked
    assert "POST /v1/hooks/email/default  mail: ready\n" in checked
    (tried,) = (
        await hooks(movable_stack, "try", str(RECORDED / "halopsa/1-new.json"), "--provider", "halopsa")
    ).splitlines()
    assert json.loads(tried)["ticket"]["assignee"] == {"name": "Tom Reed"}

    secret = movable_stack.stack.state.hook_secret()
    ticket = {"freshdesk_webhook": {"ticket_id": str(uuid4()), "ticket_status": "Parked"}}
    url = movable_stack.stack.run["urls"]["intake"]
    async with httpx.AsyncClient(headers={"X-Tocsin-Secret": secret}) as tool:
        delivered = (await tool.post(f"{url}/v1/hooks/freshdesk/default", json=ticket)).json()
    number = str(delivered["delivery_id"])
    assert f"{number}  " in await hooks(movable_stack, "unmapped")
    assert await hooks(movable_stack, "replay", number) == "Queued 1 delivery for the running service.\n"

    async def is_unmapped_again() -> bool:
        return f"{number}  " in await hooks(movable_stack, "unmapped")

    await eventually(is_unmapped_again, "the delivery is unmapped again")
    assert await hooks(movable_stack, "dismiss", number, "--by", "Ada") == "Dismissed 1 delivery.\n"
    assert f"{number}  " not in await hooks(movable_stack, "unmapped")
    assert "dismissed by Ada" in await hooks(movable_stack, "ignored")
